/** What `@Callback()` promises: which methods answer an event, and what the decorator leaves alone. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { applyDecorators, Controller, Get, Injectable, SetMetadata } from '@nestjs/common';
import { Callback, type CallbackOptions, EventsError } from 'nestjs-callbacks';
import { closeApps, startApp } from '../support/app.js';

let ran: unknown[][];
beforeEach(() => {
  ran = [];
});
afterEach(closeApps);

/** What a class definition threw. */
function defining(define: () => unknown): EventsError {
  try {
    define();
  } catch (error) {
    return error as EventsError;
  }
  throw new Error('The class was defined without an error.');
}

describe('A callback', () => {
  it('is called with whatever the event carries, as many arguments as there are', async () => {
    @Injectable()
    class Witness {
      @Callback('x') see(...args: unknown[]) {
        ran.push(args);
      }
    }
    const { events } = await startApp([Witness]);

    await events.run('x');
    await events.run('x', 1);
    await events.run('x', 1, 2);
    await events.run('x', 1, 2, 3);
    await events.run('x', 1, 2, 3, 4, 5, 6);

    expect(ran).toEqual([[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4, 5, 6]]);
  });

  it('is a method of its instance, also of a controller', async () => {
    @Controller()
    class Page {
      private readonly title = 'Welcome';
      @Callback('x') show() {
        ran.push([this.title]);
      }
    }
    const { events } = await startApp({ controllers: [Page] });

    await events.run('x');

    expect(ran).toEqual([['Welcome']]);
  });

  it('answers several events when decorators are stacked', async () => {
    @Injectable()
    class Bot {
      @Callback('user_joined')
      @Callback('user_left')
      announce(name: string) {
        ran.push([name]);
      }
    }
    const { events } = await startApp([Bot]);

    await events.run('user_joined', 'Ada');
    await events.run('user_left', 'Bob');

    expect(ran).toEqual([['Ada'], ['Bob']]);
  });

  it('stays callable as before, with its name, its own metadata and its place on the prototype', async () => {
    class Emails {
      @SetMetadata('audited', true)
      @Callback('x')
      @Get('preview')
      greet(name: string) {
        return `Hello, ${name}`;
      }
    }

    expect(new Emails().greet('Ada')).toBe('Hello, Ada');
    expect(Emails.prototype.greet.name).toBe('greet');
    expect(Reflect.getMetadataKeys(Emails.prototype.greet).sort()).toEqual(['audited', 'method', 'path']);
    expect(Reflect.getMetadataKeys(Emails)).toEqual([]);
    expect(Object.getOwnPropertyDescriptor(Emails.prototype, 'greet')).toMatchObject({
      enumerable: false,
      writable: true,
    });
  });

  it('may be made by applyDecorators and by a decorator of your own', async () => {
    const WhenJoined = (options?: CallbackOptions) => Callback('user_joined', options);
    const Audited = (event: string) => applyDecorators(Callback(event), SetMetadata('audited', true));

    @Injectable()
    class Emails {
      @WhenJoined({ id: 'greeting' }) greet(name: string) {
        ran.push(['greet', name]);
      }
      @Audited('user_joined') audit(name: string) {
        ran.push(['audit', name]);
      }
    }
    const { events } = await startApp([Emails]);

    expect((await events.runSettled('user_joined', 'Ada')).map(({ callback }) => callback)).toEqual([
      'greeting',
      'Emails.audit',
    ]);
    expect(ran).toEqual([
      ['greet', 'Ada'],
      ['audit', 'Ada'],
    ]);
  });

  it('may have a symbol as its name', async () => {
    const greet = Symbol('greet');
    @Injectable()
    class Emails {
      @Callback('x') [greet]() {}
    }
    const { events } = await startApp([Emails]);

    expect(await events.runSettled('x')).toMatchObject([{ callback: 'Emails.Symbol(greet)', status: 'fulfilled' }]);
  });
});

describe('An inherited callback', () => {
  abstract class Greeter {
    abstract word: string;
    @Callback('x') greet() {
      ran.push([this.word]);
    }
  }

  it('runs on each subclass that is provided, abstract base or not, and is known by the subclass', async () => {
    @Injectable()
    class English extends Greeter {
      word = 'Hello';
    }
    @Injectable()
    class German extends Greeter {
      word = 'Hallo';
    }
    const { events } = await startApp([English, German]);

    const outcomes = await events.runSettled('x');

    expect(ran).toEqual([['Hello'], ['Hallo']]);
    expect(outcomes.map(({ callback }) => callback)).toEqual(['English.greet', 'German.greet']);
  });

  it('that is overridden runs the override, without being decorated again, and once', async () => {
    @Injectable()
    class Loud extends Greeter {
      word = 'hello';
      override greet() {
        ran.push([this.word.toUpperCase()]);
      }
    }
    const { events } = await startApp([Loud]);

    await events.run('x');

    expect(ran).toEqual([['HELLO']]);
  });

  it('that is decorated again takes the new options, keeps its place, and may answer more events', async () => {
    @Injectable()
    class Loud extends Greeter {
      word = 'hello';
      @Callback('x', { id: 'loud' })
      @Callback('y')
      override greet() {
        super.greet();
      }
      @Callback('x') later() {}
    }
    const { events } = await startApp([Loud]);

    expect((await events.runSettled('x')).map(({ callback }) => callback)).toEqual(['loud', 'Loud.later']);
    expect((await events.runSettled('y')).map(({ callback }) => callback)).toEqual(['Loud.greet']);
    expect(ran).toHaveLength(2);
  });
});

describe('@Callback() refuses, while the class is being defined,', () => {
  it.each<[string, () => unknown, string]>([
    ['a class', () => (Callback('x') as any)(class Bot {}), '@Callback() was put on the class Bot. '],
    [
      'a static method',
      () => {
        class Bot {
          @Callback('x') static announce() {}
        }
        return Bot;
      },
      '@Callback() was put on Bot.announce, which is static. ',
    ],
    [
      'a property',
      () => {
        class Bot {
          @Callback('x') announce = () => {};
        }
        return Bot;
      },
      '@Callback() was put on Bot.announce, which is a property. ',
    ],
    [
      'an accessor',
      () => {
        class Bot {
          @(Callback('x') as any) get name() {
            return '';
          }
        }
        return Bot;
      },
      '@Callback() was put on Bot.name, which is an accessor. ',
    ],
    [
      'a parameter',
      () => {
        class Bot {
          announce(@(Callback('x') as any) name: string) {
            return name;
          }
        }
        return Bot;
      },
      '@Callback() was put on parameter 1 of Bot.announce. ',
    ],
  ])('%s', (_, define, message) => {
    const error = defining(define);
    expect(error).toBeInstanceOf(EventsError);
    expect(error.code).toBe('EVENTS_NOT_A_METHOD');
    expect(error.message).toBe(
      `${message}Put it on a method of a provider or a controller: the instance's method is what answers the event.`,
    );
  });

  it('a standard (TC39) decoration, which Nest would not see', () => {
    const error = defining(() => (Callback('x') as any)(() => {}, { kind: 'method', name: 'greet' }));
    expect(error.code).toBe('EVENTS_NOT_A_METHOD');
    expect(error.message).toMatch(/"greet" was compiled as a standard decorator.*experimentalDecorators/);
  });

  it('an event that is none, and guesses at an import circle', () => {
    const onMethod = (event: any) => () => {
      class Bot {
        @Callback(event) announce() {}
      }
      return Bot;
    };
    expect(defining(onMethod(undefined))).toMatchObject({
      code: 'EVENTS_EVENT_INVALID',
      message:
        '@Callback() on Bot.announce was given undefined as the event. Nothing was passed, or an import ' +
        'circle makes it undefined here: then move the event to a file of its own.',
    });
    for (const event of ['', 7, null, {}, () => {}]) {
      expect(defining(onMethod(event)).message).toMatch(/Pass a name, a class, or what defineEvent\(\) returned\.$/);
    }
  });

  it('to be used without its parentheses', () => {
    const error = defining(() => {
      class Bot {
        @(Callback as any) announce() {}
      }
      return Bot;
    });
    expect(error).toMatchObject({
      code: 'EVENTS_EVENT_INVALID',
      message:
        "@Callback on announce was given undefined as the event. Write its event in parentheses: @Callback('user_joined').",
    });
  });

  it('the same event twice on a method', () => {
    const error = defining(() => {
      class Bot {
        @Callback('x')
        @Callback('x')
        announce() {}
      }
      return Bot;
    });
    expect(error.code).toBe('EVENTS_DECLARED_TWICE');
    expect(error.message).toBe('Bot.announce is declared twice for "x". Keep one @Callback() per event on a method.');
  });

  it.each<[any, string]>([
    [
      { optionl: true },
      'Bot.announce has the option optionl: true, which @Callback() does not have. Did you mean "optional"?',
    ],
    [
      { priority: 1 },
      'Bot.announce has the option priority: 1, which @Callback() does not have. There are id, delivery, optional, before, after, retry, timeoutMs, concurrency, ordered, formerly, limits.',
    ],
    [{ id: '' }, "Bot.announce has id: ''. Pass a string that is not empty."],
    [
      { delivery: 'later' },
      "Bot.announce has delivery: 'later'. Pass 'inline', 'background', 'after-commit', 'after-rollback' or 'durable'.",
    ],
    [
      { after: () => class Later {} },
      'Bot.announce has after: the function after. Pass a class, a callback id, or an array of them (an import circle makes a class undefined here).',
    ],
    [{ optional: 'yes' }, "Bot.announce has optional: 'yes'. Pass true or false."],
    [
      { after: undefined },
      'Bot.announce has after: undefined. Pass a class, a callback id, or an array of them (an import circle makes a class undefined here).',
    ],
    [
      { before: [undefined] },
      'Bot.announce has before: [ undefined ]. Pass a class, a callback id, or an array of them (an import circle makes a class undefined here).',
    ],
    [7, 'Bot.announce has the options 7. Pass an object, or leave them out.'],
  ])('the options %j', (options, message) => {
    const error = defining(() => {
      class Bot {
        @Callback('x', options) announce() {}
      }
      return Bot;
    });
    expect(error).toMatchObject({ code: 'EVENTS_CALLBACK_INVALID', message });
  });
});
