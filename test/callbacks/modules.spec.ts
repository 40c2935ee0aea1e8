/** However a class comes into the application, its callbacks answer as Nest developers expect. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CanActivate,
  Controller,
  forwardRef,
  Global,
  Inject,
  Injectable,
  Module,
  Scope,
  UseGuards,
} from '@nestjs/common';
import { LazyModuleLoader, NestFactory, SerializedGraph } from '@nestjs/core';
import { EventPattern, type MicroserviceOptions, Transport } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { Callback, EventRunner, EventsModule } from 'nestjs-callbacks';
import { closeApps, deferred, Log, startApp, turn } from '../support/app.js';

let ran: unknown[];
beforeEach(() => {
  ran = [];
});
afterEach(closeApps);

describe('However it is provided, a callback runs once', () => {
  @Injectable()
  class Bot {
    constructor() {
      made++;
    }
    @Callback('x') announce() {
      ran.push('announced');
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

  it('beside providers that are no objects, or have no prototype', async () => {
    const { events } = await startApp({
      providers: [
        Bot,
        { provide: 'NOTHING', useValue: null },
        { provide: 'TEXT', useFactory: () => 'text' },
        { provide: 'FUNCTION', useFactory: () => () => {} },
        { provide: 'BARE', useFactory: () => Object.create(null) as object },
      ],
    });
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
        ran.push(this instanceof Page);
      }
    }
    const { events, log } = await startApp({ controllers: [Page], providers: [Page] });
    await events.run('x');

    expect(ran).toHaveLength(1);
    expect(log.of('warn')[0]).toMatch(/^Page is both a controller and a provider of AppModule/);
  });

  it('but on each instance of a class under several tokens, and of a dynamic module imported twice', async () => {
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
        { provide: 'THREE', useFactory: () => new Bot() },
      ],
    });
    await events.run('x');

    expect(ran).toHaveLength(5);
    expect(log.of('warn')).toEqual([]);
  });
});

describe('A lazily loaded module', () => {
  @Injectable()
  class Witness {
    @Callback('x') see(who: string) {
      ran.push(who);
    }
  }
  @Module({ providers: [Witness] })
  class LazyModule {}

  it('joins in at the next run, after all others', async () => {
    @Injectable()
    class Root {
      @Callback('x') see(who: string) {
        ran.push(`root ${who}`);
      }
    }
    const { app, events, log } = await startApp([Root]);
    await events.run('x', 'before');
    await app.get(LazyModuleLoader).load(() => LazyModule);
    await events.run('x', 'after');

    expect(ran).toEqual(['root before', 'root after', 'after']);
    expect(log.of('log').filter((line) => /answer/.test(line))).toEqual([
      '1 callback answers 1 event',
      '2 callbacks answer 1 event',
    ]);
  });

  it('that is still loading keeps nobody waiting', async () => {
    const slow = deferred();
    @Module({ imports: [LazyModule], providers: [{ provide: 'SLOW', useFactory: () => slow.promise }] })
    class SlowModule {
      @Callback('x') see(who: string) {
        ran.push(`slow module ${who}`);
      }
    }
    const { app, events } = await startApp([]);
    const loading = app.get(LazyModuleLoader).load(() => SlowModule);
    await turn();
    await events.run('x', 'meanwhile');
    slow.resolve();
    await loading;
    await events.run('x', 'then');

    expect(ran).toEqual(['meanwhile', 'then', 'slow module then']);
  });

  it('may bring request-scoped providers and guards', async () => {
    @Injectable()
    class NotEve implements CanActivate {
      canActivate(context: { getArgs(): unknown[] }) {
        return context.getArgs()[0] !== 'Eve';
      }
    }
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {
      @UseGuards(NotEve)
      @Callback('x')
      see(who: string) {
        ran.push(`request ${who}`);
      }
    }
    @Module({ providers: [PerRequest] })
    class GuardedModule {}
    const { app, events } = await startApp([]);
    await app.get(LazyModuleLoader).load(() => GuardedModule);

    await events.run('x', 'Ada');
    await expect(events.run('x', 'Eve')).rejects.toThrow('Forbidden');
    expect(ran).toEqual(['request Ada']);
  });

  it('whose callbacks are wrong fails the runs of their events, says so once, and leaves the others alone', async () => {
    @Injectable()
    class Broken {
      @Callback('x', { after: 'nobody' }) see() {}
      @Callback('y', { delivery: 'durable' }) later() {}
      @Callback('z') fine(who: string) {
        ran.push(`fine ${who}`);
      }
    }
    @Module({ providers: [Broken] })
    class BrokenModule {}
    @Injectable()
    class Other {
      @Callback('other') see(who: string) {
        ran.push(`other ${who}`);
      }
    }
    const { app, events, log } = await startApp([Witness, Other]);
    await app.get(LazyModuleLoader).load(() => BrokenModule);
    for (let i = 0; i < 2; i++) {
      await expect(events.run('x', 'Ada')).rejects.toMatchObject({ code: 'EVENTS_ORDER_UNKNOWN' });
      await expect(events.run('y', 'Ada')).rejects.toMatchObject({ code: 'EVENTS_ENGINE_MISSING' });
      await events.run('z', 'Ada');
      await events.run('other', 'Ada');
    }
    expect(ran).toEqual(['fine Ada', 'other Ada', 'fine Ada', 'other Ada']);
    expect(log.of('error').filter((line) => line.includes('asks to run after'))).toHaveLength(3);
  });
});

describe('An override in a testing module', () => {
  it('counts with its own callbacks, and not with those of the original', async () => {
    @Injectable()
    class Bot {
      @Callback('x') announce() {
        ran.push('original');
      }
    }
    class Fake {
      @Callback('x') announce() {
        ran.push('fake');
      }
    }
    for (const override of ['useClass', 'useValue'] as const) {
      const builder = Test.createTestingModule({ imports: [EventsModule], providers: [Bot] }).setLogger(new Log());
      const app = await (
        override === 'useClass'
          ? builder.overrideProvider(Bot).useClass(Fake)
          : builder.overrideProvider(Bot).useValue(new Fake())
      ).compile();
      await app.get(EventRunner).run('x');
      await app.close();
    }
    expect(ran).toEqual(['fake', 'fake']);
  });
});

describe('Providers and modules that need each other', () => {
  it('by forwardRef answer like any other', async () => {
    @Injectable()
    class Chicken {
      constructor(@Inject(forwardRef(() => Egg)) readonly egg: object) {}
      @Callback('x') go() {
        ran.push(['chicken', this.egg instanceof Egg]);
      }
    }
    @Injectable()
    class Egg {
      constructor(@Inject(forwardRef(() => Chicken)) readonly chicken: object) {}
      @Callback('x') go() {
        ran.push(['egg', this.chicken instanceof Chicken]);
      }
    }
    @Module({ imports: [forwardRef(() => EggModule)], providers: [Chicken], exports: [Chicken] })
    class ChickenModule {}
    @Global()
    @Module({ imports: [forwardRef(() => ChickenModule)], providers: [Egg], exports: [Egg] })
    class EggModule {}

    const { events } = await startApp({ imports: [ChickenModule] });
    await events.run('x');

    expect(ran).toEqual([
      ['egg', true],
      ['chicken', true],
    ]);
  });
});

describe('An application', () => {
  @Controller()
  class Orders {
    constructor(private readonly events: EventRunner) {}
    @EventPattern('order_placed') placed(id: number) {
      return this.events.run('order_placed', id);
    }
    @Callback('order_placed') reserve(id: number) {
      ran.push(`reserved ${id}`);
    }
  }
  const options: MicroserviceOptions = { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } };

  it('for HTTP and a microservice at once has one set of callbacks', async () => {
    const { app, events } = await startApp({ controllers: [Orders] });
    const microservice = app.connectMicroservice<MicroserviceOptions>(options);
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');

    await events.run('order_placed', 1);
    await app.get(Orders).placed(2);
    expect(ran).toEqual(['reserved 1', 'reserved 2']);
    expect(microservice).toBeDefined();
  });

  it('that is a microservice alone, or no server at all, runs events too, and drains when it closes', async () => {
    @Module({ imports: [EventsModule], controllers: [Orders] })
    class AppModule {}
    for (const app of [
      await NestFactory.createMicroservice<MicroserviceOptions>(AppModule, { ...options, logger: false }),
      await NestFactory.createApplicationContext(AppModule, { logger: false }),
    ]) {
      await app.init();
      const events = app.get(EventRunner);
      await events.run('order_placed', 1);
      await app.close();
      await expect(events.run('order_placed', 2)).rejects.toMatchObject({ code: 'EVENTS_CLOSED' });
    }
    expect(ran).toEqual(['reserved 1', 'reserved 1']);
  });
});

describe('In Nest Devtools', () => {
  @Injectable()
  class Emails {
    @Callback('user_joined')
    @Callback('user_left')
    notify() {}
  }
  @Module({ imports: [EventsModule], providers: [Emails] })
  class AppModule {}
  const entrypoints = async (snapshot: boolean) => {
    const app = await NestFactory.createApplicationContext(AppModule, { snapshot, logger: false });
    const { entrypoints: found } = app.get(SerializedGraph).toJSON();
    await app.close();
    return Object.values(found).flat();
  };

  it('callbacks are entry points of their class, one for each event', async () => {
    expect(await entrypoints(true)).toMatchObject([
      {
        type: 'event',
        className: 'Emails',
        methodName: 'notify',
        metadata: { key: 'user_left', callback: 'Emails.notify', delivery: 'inline' },
      },
      { type: 'event', className: 'Emails', methodName: 'notify', metadata: { key: 'user_joined' } },
    ]);
  });

  it('nothing is recorded without a snapshot', async () => {
    expect(await entrypoints(false)).toEqual([]);
  });
});
