/** Events as classes and as definitions with schemas: what is checked, what callbacks receive, what is refused. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, defineEvent } from 'nestjs-callbacks';
import * as v from 'valibot';
import { z } from 'zod';
import { closeApps, startApp, turn } from '../support/app.js';

let ran: unknown[][];
beforeEach(() => {
  ran = [];
});
afterEach(closeApps);

class UserJoined {
  constructor(
    readonly name: string,
    readonly email: string,
  ) {}
}
class AdminJoined extends UserJoined {}

describe('A class event', () => {
  @Injectable()
  class Emails {
    @Callback(UserJoined) greet(event: UserJoined) {
      ran.push(['user', event]);
    }
    @Callback(AdminJoined) alert(event: AdminJoined) {
      ran.push(['admin', event]);
    }
  }

  it('reaches the callbacks of its exact class, as the very instance that was run', async () => {
    const { events } = await startApp([Emails]);
    const ada = new UserJoined('Ada', 'ada@example.org');
    const root = new AdminJoined('Root', 'root@example.org');

    await events.run(ada);
    await events.run(root);

    expect(ran).toEqual([
      ['user', ada],
      ['admin', root],
    ]);
    expect(ran[0][1]).toBe(ada);
  });

  it("is not the event of a name that is equal to its class's", async () => {
    const { events, log } = await startApp([Emails]);
    await events.run('UserJoined');
    expect(ran).toEqual([]);
    expect(log.of('warn')).toEqual([
      '"UserJoined" was run, but no callback answers it. Another event called "UserJoined" is answered: a name and a class, ' +
        'or two classes, are two events.',
    ]);
    class RootJoined extends AdminJoined {}
    await events.run(new RootJoined('Root', 'root@example.org'));
    await events.run(new Date());
    expect(log.of('warn').slice(1)).toEqual([
      '"RootJoined" was run, but no callback answers it. UserJoined is answered, but a class event matches its exact class only.',
      '"Date" was run, but no callback answers it. Declare one with @Callback(Date) on a provider of an imported module, or ' +
        'check the name.',
    ]);
  });
});

describe('A definition', () => {
  it('is one event with its name, whichever of the two a callback and a run use', async () => {
    const userJoined = defineEvent<[name: string]>('user_joined');
    @Injectable()
    class Emails {
      @Callback(userJoined) byDefinition(name: string) {
        ran.push(['definition', name]);
      }
      @Callback('user_joined') byName(name: string) {
        ran.push(['name', name]);
      }
    }
    const { events } = await startApp([Emails]);

    await events.run(userJoined, 'Ada');
    await events.run('user_joined', 'Bob');

    expect(ran).toEqual([
      ['definition', 'Ada'],
      ['name', 'Ada'],
      ['definition', 'Bob'],
      ['name', 'Bob'],
    ]);
  });

  describe.each([
    [
      'zod',
      defineEvent('user_joined', z.string().min(1), z.email(), z.coerce.date().default(new Date(0))),
      /^argument 1: Too small: expected string to have >=1 characters; argument 2: Invalid email address$/,
    ],
    [
      'valibot',
      defineEvent(
        'user_joined',
        v.pipe(v.string(), v.minLength(1)),
        v.pipe(v.string(), v.email()),
        v.optional(
          v.pipe(
            v.union([v.string(), v.date()]),
            v.transform((date) => new Date(date)),
          ),
          () => new Date(0),
        ),
      ),
      /^argument 1: Invalid length: Expected >=1 but received 0; argument 2: Invalid email: Received "nobody"$/,
    ],
    [
      'asynchronous schemas',
      defineEvent(
        'user_joined',
        z.string().refine(async (name) => turn().then(() => name !== ''), 'Empty'),
        z.email().refine(async (email) => turn().then(() => email !== 'taken@example.org'), 'Taken'),
        z.coerce.date().default(new Date(0)),
      ),
      /^argument 1: Empty; argument 2: Invalid email address$/,
    ],
  ] as const)('of %s', (_, userJoined, problem) => {
    @Injectable()
    class Emails {
      @Callback(userJoined) greet(...args: unknown[]) {
        ran.push(args);
      }
      @Callback('user_joined') byName(...args: unknown[]) {
        ran.push(args);
      }
    }

    it('gives callbacks what its schemas return: defaults and coercions', async () => {
      const { events } = await startApp([Emails]);

      await events.run(userJoined, 'Ada', 'ada@example.org');
      await events.run('user_joined', 'Bob', 'bob@example.org', '2026-01-02T03:04:05Z');

      expect(ran).toEqual([
        ['Ada', 'ada@example.org', new Date(0)],
        ['Ada', 'ada@example.org', new Date(0)],
        ['Bob', 'bob@example.org', new Date('2026-01-02T03:04:05Z')],
        ['Bob', 'bob@example.org', new Date('2026-01-02T03:04:05Z')],
      ]);
    });

    it('refuses what does not fit before any callback runs, and names event, argument and reason', async () => {
      const { events, log } = await startApp([Emails]);

      for (const run of [
        events.run(userJoined, '', 'nobody'),
        events.run('user_joined', '', 'nobody'),
        events.runSettled(userJoined, '', 'nobody'),
        events.runParallel(userJoined, '', 'nobody'),
      ]) {
        const error = await run.then(
          () => undefined,
          (thrown: unknown) => thrown as Error,
        );
        expect(error).toMatchObject({ code: 'EVENTS_ARGUMENTS_INVALID', cause: [{ message: expect.any(String) }, {}] });
        const [, found, rest] =
          /^"user_joined" was run with arguments that do not fit its definition: (.*)\. (No .*)$/.exec(error!.message)!;
        expect(found).toMatch(problem);
        expect(rest).toBe('No callback has run; correct the call.');
      }
      expect(ran).toEqual([]);
      expect(log.of('error')).toHaveLength(4);
    });
  });

  it('names the path inside an argument, and refuses arguments that it does not have', async () => {
    const orderPlaced = defineEvent('order_placed', z.object({ lines: z.array(z.object({ amount: z.number() })) }));
    const { events } = await startApp([]);

    await expect(events.run(orderPlaced, { lines: [{ amount: '1' as never }] })).rejects.toThrow(
      'argument 1 (lines.0.amount): Invalid input: expected number, received string.',
    );
    await expect((events.run as any)(orderPlaced, { lines: [] }, 'more')).rejects.toThrow(
      'do not fit its definition: it takes 1, and got 2.',
    );
  });

  it('reports a schema that throws instead of refusing, synchronously or not', async () => {
    const broken = (validate: () => never | Promise<never>) =>
      ({ '~standard': { version: 1, vendor: 'test', validate } }) as const;
    const bug = new TypeError('x is undefined');
    const { events } = await startApp([]);

    for (const schema of [
      broken(() => {
        throw bug;
      }),
      broken(() => Promise.reject(bug)),
    ]) {
      await expect(events.run(defineEvent('x', z.string(), schema), 'Ada', 1)).rejects.toMatchObject({
        code: 'EVENTS_SCHEMA_FAILED',
        cause: bug,
        message: expect.stringMatching(
          /^The schema of argument 2 of "x" answered TypeError: x is undefined instead of/,
        ),
      });
    }
  });

  it('is refused at boot when callbacks use two with different schemas, and at run() likewise', async () => {
    const one = defineEvent('user_joined', z.string());
    const two = defineEvent('user_joined', z.string().min(1));
    @Injectable()
    class One {
      @Callback(one) greet(_name: string) {}
    }
    @Injectable()
    class Two {
      @Callback(two) greet(_name: string) {}
    }
    const message = (where: string, other: string) =>
      `${where} uses a definition of "user_joined" with other schemas than that of ${other}. ` +
      'Export one defineEvent() and import it in both places.';

    await expect(startApp([One, Two])).rejects.toMatchObject({
      code: 'EVENTS_DEFINITION_CONFLICT',
      message: message('Two.greet', 'One.greet'),
    });
    const { events } = await startApp([One]);
    await expect(events.run(two, 'Ada')).rejects.toMatchObject({
      code: 'EVENTS_DEFINITION_CONFLICT',
      message: message('run()', 'its callbacks'),
    });
  });

  it('is checked by the schemas of the call when the callbacks know only its name', async () => {
    @Injectable()
    class Emails {
      @Callback('user_joined') greet(name: string) {
        ran.push([name]);
      }
    }
    const { events } = await startApp([Emails]);
    await events.run(defineEvent('user_joined', z.string().trim()), ' Ada ');
    expect(ran).toEqual([['Ada']]);
  });

  it('needs a name and Standard Schemas', () => {
    expect(() => defineEvent('')).toThrow(
      "defineEvent() was given '' as the event. Pass its name first, a string that is not empty.",
    );
    expect(() => (defineEvent as any)('x', z.string(), String)).toThrow(
      "defineEvent('x') was given the function String as the event. Pass a Standard Schema (zod, valibot, arktype …) for " +
        'argument 2, or none at all and a type parameter.',
    );
  });
});

describe('A2: A schema in the place of an event', () => {
  // As those of arktype: a function.
  const callable = Object.assign((value: unknown) => value, {
    '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) } as const,
  });
  class Class {
    static readonly '~standard' = callable['~standard'];
  }
  const message = expect.stringContaining("Make an event of it, which has a name: defineEvent('user_joined', schema).");

  it.each([
    ['a function', callable],
    ['a class', Class],
    ['an object', z.string()],
  ])('is refused, whether it is %s, at the decorator and by run()', async (_, schema) => {
    expect(() => Callback(schema as never)(class {}.prototype, 'x', { value: () => {} } as never)).toThrow(
      expect.objectContaining({ code: 'EVENTS_EVENT_INVALID', message }),
    );
    const { events } = await startApp([]);
    await expect(events.run(schema as never)).rejects.toMatchObject({ code: 'EVENTS_EVENT_INVALID', message });
  });

  it('is a schema of defineEvent(), also when it is a function', async () => {
    const joined = defineEvent('joined', callable);
    class Emails {
      @Callback(joined) greet(name: unknown) {
        ran.push([name]);
      }
    }
    const { events } = await startApp([Emails]);
    await events.run(joined, 'Ada');
    expect(ran).toEqual([['Ada']]);
  });
});
