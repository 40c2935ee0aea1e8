/** What `@Callback()` promises: which methods answer an event, and what the decorator leaves alone. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  applyDecorators,
  type CanActivate,
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  Scope,
  SetMetadata,
  UseGuards,
  UsePipes,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { Callback, type CallbackOptions, EventsError } from 'nestjs-callbacks';
import { closeApps, startApp } from './app.js';

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

describe('However it is provided, a callback runs once', () => {
  @Injectable()
  class Bot {
    constructor() {
      made++;
    }
    @Callback('x') announce() {
      ran.push(['announced']);
    }
  }
  let made: number;
  beforeEach(() => {
    made = 0;
  });

  it.each([
    ['useClass', { provide: 'BOT', useClass: Bot }],
    ['useFactory', { provide: 'BOT', useFactory: () => new Bot() }],
    ['an async useFactory', { provide: 'BOT', useFactory: async () => new Bot() }],
    ['useValue', { provide: 'BOT', useValue: new Bot() }],
  ])('by %s', async (_, provider) => {
    const { events } = await startApp({ providers: [provider] });
    await events.run('x');
    expect(ran).toHaveLength(1);
  });

  it('by useExisting and by a factory that returns what is provided already', async () => {
    const { events } = await startApp({
      providers: [
        Bot,
        { provide: 'ALIAS', useExisting: Bot },
        { provide: 'SAME', useFactory: (bot: Bot) => bot, inject: [Bot] },
      ],
    });
    await events.run('x');
    expect(ran).toHaveLength(1);
  });

  it('by a class that two modules list, with a warning that names both', async () => {
    @Module({ providers: [Bot] })
    class DiscordModule {}
    @Module({ providers: [Bot] })
    class ChatModule {}

    const { events, log } = await startApp({ imports: [DiscordModule, ChatModule] });
    await events.run('x');

    expect(made).toBe(2);
    expect(ran).toHaveLength(1);
    expect(log.of('warn')).toEqual([
      'Bot is provided by DiscordModule and by ChatModule, so Nest makes two instances of it. Its callbacks run once, ' +
        'on the one of DiscordModule. Export it there, and remove it from the providers of ChatModule.',
    ]);
  });

  it('by a controller that is listed as a provider too, with a warning', async () => {
    @Controller()
    class Page {
      @Callback('x') show() {
        ran.push([this instanceof Page]);
      }
    }
    const { events, log } = await startApp({ controllers: [Page], providers: [Page] });
    await events.run('x');

    expect(ran).toHaveLength(1);
    expect(log.of('warn')[0]).toMatch(/^Page is both a controller and a provider of AppModule/);
  });

  it('but on each instance of a class under two tokens, and of a dynamic module imported twice', async () => {
    @Module({})
    class ChatModule {
      static named(channel: string) {
        return { module: ChatModule, providers: [Bot, { provide: 'CHANNEL', useValue: channel }] };
      }
    }
    const { events, log } = await startApp({
      imports: [ChatModule.named('#a'), ChatModule.named('#b')],
      providers: [
        { provide: 'ONE', useClass: Bot },
        { provide: 'TWO', useClass: Bot },
      ],
    });
    await events.run('x');

    expect(ran).toHaveLength(4);
    expect(log.of('warn')).toEqual([]);
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
        '@Callback() on Bot.announce was given undefined as the event. It is undefined while the class is being ' +
        'defined, which an import circle does: move the event to a file of its own.',
    });
    for (const event of ['', 7, null, {}, () => {}]) {
      expect(defining(onMethod(event)).message).toMatch(/Pass a name, a class, or what defineEvent\(\) returned\.$/);
    }
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
      'Bot.announce has the option priority: 1, which @Callback() does not have. It has id, delivery, optional, before, after.',
    ],
    [{ id: '' }, "Bot.announce has id: ''. Pass a string that is not empty."],
    [{ delivery: 'later' }, "Bot.announce has delivery: 'later'. Pass 'inline' or 'background'."],
    [{ optional: 'yes' }, "Bot.announce has optional: 'yes'. Pass true or false."],
    [
      { after: undefined },
      'Bot.announce has after: undefined. Pass a class, a callback id, or an array of them (an import circle makes a class undefined here).',
    ],
    [
      { before: [undefined] },
      'Bot.announce has before: [ undefined ]. Pass a class, a callback id, or an array of them (an import circle makes a class undefined here).',
    ],
    ['background', "Bot.announce has the options 'background'. Pass an object, or leave them out."],
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

describe('The boot refuses, until this package can honour it,', () => {
  it.each([
    ['request-scoped', Scope.REQUEST],
    ['transient', Scope.TRANSIENT],
  ])('a callback of a %s provider', async (scope, nestScope) => {
    @Injectable({ scope: nestScope })
    class Bot {
      @Callback('x') announce() {}
    }
    await expect(startApp([Bot])).rejects.toMatchObject({
      code: 'EVENTS_SCOPE_UNAVAILABLE',
      message: expect.stringMatching(`^Bot\\.announce is declared on a ${scope} provider, for which`),
    });
  });

  it('a callback of a provider that depends on the request', async () => {
    @Injectable()
    class Bot {
      constructor(@Inject(REQUEST) readonly request: unknown) {}
      @Callback('x') announce() {}
    }
    await expect(startApp([Bot])).rejects.toMatchObject({ code: 'EVENTS_SCOPE_UNAVAILABLE' });
  });

  it('a callback with guards, interceptors, pipes or filters, on the method or the class', async () => {
    const guard: CanActivate = { canActivate: () => true };
    @Injectable()
    @UseGuards(guard)
    class Bot {
      @UsePipes({ transform: (value: unknown) => value })
      @Callback('x')
      announce() {}
    }
    await expect(startApp([Bot])).rejects.toMatchObject({
      code: 'EVENTS_ENHANCER_UNAVAILABLE',
      message: expect.stringMatching(/^Bot\.announce carries @UseGuards\(\) and @UsePipes\(\), which/),
    });
  });

  const boot = (options: any, decorate: MethodDecorator = () => {}) => {
    @Injectable()
    class Bot {
      @decorate
      @Callback('x', options)
      announce() {}
    }
    return startApp([Bot]);
  };

  it.each(['durable', 'after-commit', 'after-rollback'])('delivery %j', async (delivery) => {
    await expect(boot({ delivery })).rejects.toMatchObject({
      code: 'EVENTS_DELIVERY_UNAVAILABLE',
      message:
        `Bot.announce asks for delivery '${delivery}', which this version of nestjs-callbacks does not offer yet. ` +
        `Use 'inline' or 'background' until it does.`,
    });
  });
});
