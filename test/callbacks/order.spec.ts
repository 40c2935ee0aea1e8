/** In what order callbacks run: as the modules import each other, as classes are listed, as methods are written. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, type DynamicModule, forwardRef, Global, Injectable, Module, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Callback, type CallbackOptions, EventRunner, EventsModule } from 'nestjs-callbacks';
import { closeApps, Log, startApp } from '../support/app.js';

afterEach(closeApps);

/** A provider `name` with one callback of `x`, whose id is `name.go`. */
function step(name: string, options?: CallbackOptions): Type {
  class Step {
    @Callback('x', options) go() {}
  }
  Injectable()(Step);
  Object.defineProperty(Step, 'name', { value: name });
  return Step;
}

function module(name: string, imports: any[] = [], providers: Type[] = [step(name)]): Type {
  class Imported {}
  Object.defineProperty(Imported, 'name', { value: `${name}Module` });
  Module({ imports, providers, exports: providers })(Imported);
  return Imported;
}

const order = async (events: EventRunner, event = 'x') =>
  (await events.runSettled(event)).map(({ callback }) => callback.replace('.go', '')).join(' ');

describe('Callbacks run', () => {
  it("with those of imported modules before their importer's, depth first, as listed, each module once", async () => {
    const shared = module('Shared');
    const a = module('A', [module('A1'), shared]);
    const b = module('B', [shared, module('B1')]);

    const { events } = await startApp({ imports: [a, b], providers: [step('Root')] });

    expect(await order(events)).toBe('A1 Shared A B1 B Root');
  });

  it('with global modules where they are listed, not where Nest adds them', async () => {
    const everywhere = module('Global');
    Global()(everywhere);
    const a = module('A');

    const { events } = await startApp({ imports: [a, everywhere, module('B')], providers: [step('Root')] });

    expect(await order(events)).toBe('A Global B Root');
  });

  it('with dynamic modules, and what they import, where they are listed', async () => {
    const everywhere = module('Global');
    Global()(everywhere);
    @Module({})
    class Dynamic {
      static with(name: string): DynamicModule {
        return { module: Dynamic, imports: [everywhere, module(`${name}1`)], providers: [step(name)] };
      }
    }

    const { events } = await startApp({
      imports: [module('A'), Dynamic.with('D'), Promise.resolve(Dynamic.with('P'))],
    });

    expect(await order(events)).toBe('A Global D1 D P1 P');
  });

  it('with overridden modules in the place of what they replace, and with promises of modules', async () => {
    const everywhere = module('Global');
    const replacement = module('Replacement');
    Global()(everywhere);
    Global()(replacement);
    const a = module('A', [Promise.resolve({ module: module('P') })]);
    const compiled = await Test.createTestingModule({
      imports: [EventsModule, a, everywhere, module('B')],
      providers: [step('Root')],
    })
      .overrideModule(everywhere)
      .useModule(replacement)
      .setLogger(new Log())
      .compile();

    expect(await order(compiled.get(EventRunner))).toBe('P A Replacement B Root');
    await compiled.close();
  });

  it('with modules that import each other, without going round', async () => {
    @Module({ imports: [forwardRef(() => Right)], providers: [step('Left')] })
    class Left {}
    @Module({ imports: [forwardRef(() => Left)], providers: [step('Right')] })
    class Right {}

    const { events } = await startApp({ imports: [Left] });

    expect(await order(events)).toBe('Right Left');
  });

  it('in a module with controllers first, then providers, as listed', async () => {
    @Controller()
    class Page {
      @Callback('x') go() {}
    }
    const { events } = await startApp({ providers: [step('B'), step('A')], controllers: [Page] });

    expect(await order(events)).toBe('Page B A');
  });

  it("in a class as its methods are written, a base class's first", async () => {
    class Base {
      @Callback('x') base2() {}
      @Callback('x') base1() {}
    }
    @Injectable()
    class Derived extends Base {
      @Callback('x') own() {}
      @Callback('x') override base1() {}
    }
    const { events } = await startApp([Derived]);

    expect(await order(events)).toBe('Derived.base2 Derived.base1 Derived.own');
  });

  it('with background callbacks after all inline ones', async () => {
    const { events } = await startApp([step('Later', { delivery: 'background' }), step('Now')]);
    expect(await order(events)).toBe('Now Later');
  });
});

describe('before and after', () => {
  it('move a callback relative to a class, to an id, or to several', async () => {
    const a = step('A');
    const b = step('B');
    const { events } = await startApp([
      step('Last', { after: [a, 'named'] }),
      a,
      b,
      step('First', { before: [a, b] }),
      step('N', { id: 'named' }),
    ]);

    expect(await order(events)).toBe('First A B named Last');
  });

  it('take a class for all its callbacks of the event, and for a subclass or a provider under its token', async () => {
    abstract class Database {
      @Callback('x') first() {}
      @Callback('x') second() {}
    }
    @Injectable()
    class Postgres extends Database {}
    class Other {}
    @Injectable()
    class Replacement {
      @Callback('x') third() {}
    }
    const { events } = await startApp({
      providers: [step('Greet', { after: [Database, Other] }), Postgres, { provide: Other, useClass: Replacement }],
    });

    expect(await order(events)).toBe('Postgres.first Postgres.second Replacement.third Greet');
  });

  it('leave the other callbacks of the class itself in peace', async () => {
    @Injectable()
    class Steps {
      @Callback('x', { after: Steps }) one() {}
      @Callback('x') two() {}
    }
    const { events } = await startApp([Steps]);
    expect(await order(events)).toBe('Steps.two Steps.one');
  });

  it('accept a class, and an id, whose callbacks an override has replaced', async () => {
    const database = step('Database');
    const { events } = await startApp({
      providers: [
        step('Greet', { after: database }),
        step('Count', { after: 'Database.go' }),
        { provide: database, useValue: { go() {} } },
      ],
    });
    expect(await order(events)).toBe('Greet Count');
  });

  it('count among background callbacks too', async () => {
    const { events } = await startApp([
      step('B', { delivery: 'background', after: 'C.go' }),
      step('C', { delivery: 'background', after: 'A.go' }),
      step('A'),
    ]);
    expect(await order(events)).toBe('A C B');
  });

  it.each<[string, () => Type[], string, string]>([
    [
      'a class without a callback of the event',
      () => [step('A', { after: class Database {} })],
      'EVENTS_ORDER_UNKNOWN',
      'A.go asks to run after Database, but no callback of "x" is Database. Provide the class, or remove the option.',
    ],
    [
      'an unknown id, with a guess',
      () => [step('Greeter', { before: 'Databse.go' }), step('Database')],
      'EVENTS_ORDER_UNKNOWN',
      'Greeter.go asks to run before "Databse.go", but no callback of "x" is "Databse.go". Did you mean "Database.go"?',
    ],
    [
      'an unknown id, with those there are',
      () => [step('A', { before: 'nothing like it' }), step('B')],
      'EVENTS_ORDER_UNKNOWN',
      'A.go asks to run before "nothing like it", but no callback of "x" is "nothing like it". The others are "B.go".',
    ],
    [
      'an id that two callbacks have',
      () => [step('A', { after: 'same' }), step('B', { id: 'same' }), step('C', { id: 'same' })],
      'EVENTS_ORDER_AMBIGUOUS',
      'A.go asks to run after "same", but several callbacks have that id. Give each its own: @Callback(event, { id: … }), or name their class.',
    ],
    [
      'a circle',
      () => [step('Z'), step('A', { after: 'B.go' }), step('B', { after: 'C.go' }), step('C', { after: 'A.go' })],
      'EVENTS_ORDER_IMPOSSIBLE',
      'The callbacks of "x" cannot be ordered: A.go → C.go → B.go → A.go run each after the one before it. Remove one of these before/after options.',
    ],
    [
      'a callback after itself',
      () => [step('A', { after: 'A.go' })],
      'EVENTS_ORDER_IMPOSSIBLE',
      'The callbacks of "x" cannot be ordered: A.go asks to run after itself. Remove one of these before/after options.',
    ],
    [
      'an inline callback after a background one',
      () => [step('A', { after: 'B.go' }), step('B', { delivery: 'background' })],
      'EVENTS_ORDER_IMPOSSIBLE',
      'The callbacks of "x" cannot be ordered: A.go asks to run after B.go, but inline callbacks come first, then durable ones are stored, then background ones start. ' +
        'Remove one of these before/after options.',
    ],
  ])('fail the boot for %s', async (_, providers, code, message) => {
    await expect(startApp(providers())).rejects.toMatchObject({ code, message });
  });
});

describe('The order is printed at boot', () => {
  let log: string[];
  beforeEach(() => {
    log = [];
  });

  it('in one line that counts, and at debug level in full', async () => {
    const { log: written } = await startApp([step('B', { delivery: 'background', optional: true }), step('A')]);
    log = written.lines.filter((line) => /answer|"x"/.test(line));

    expect(log).toEqual([
      'log: 2 callbacks answer 1 event',
      'debug: "x": 1. A.go, 2. B.go (background) (optional)\nEventsModule',
    ]);
  });
});
