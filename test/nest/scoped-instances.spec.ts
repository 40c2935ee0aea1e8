/** The instances that a run makes for itself of request-scoped providers: as Nest would make them, and the same. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  ConflictException,
  forwardRef,
  Inject,
  Injectable,
  Module,
  Optional,
  Scope,
  type Type,
  UseGuards,
} from '@nestjs/common';
import { ContextIdFactory, ModuleRef, NestFactory, REQUEST } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { Callback, type CurrentEvent, EventRunner, EventsModule } from 'nestjs-callbacks';
import { defer } from 'rxjs';
import { closeApps, startApp, turn } from '../support/app.js';

let ran: unknown[];

let made: number;

beforeEach(() => {
  ran = [];
  made = 0;
});

afterEach(closeApps);

@Injectable({ scope: Scope.REQUEST })
class Tenant {
  readonly number = ++made;
}

describe('An instance that a run makes for itself', () => {
  @Injectable({ scope: Scope.REQUEST })
  class Direct {
    constructor(
      readonly tenant: Tenant,
      @Inject('settings') readonly settings: string,
      @Inject(REQUEST) readonly current: CurrentEvent,
      readonly modules: ModuleRef,
    ) {}
    @Callback('x') answer() {
      ran.push(['Direct', this.tenant.number, this.settings, this.current.event]);
    }
  }

  const settings = { provide: 'settings', useValue: 'dark' };

  it('is there at once: synchronous callbacks have run when run() returns', async () => {
    const { events } = await startApp([Tenant, Direct, settings] as Type[]);

    // Nest 11 must have made one before it says what it is made of.
    await events.run('x');
    const run = events.run('x');

    expect(ran).toEqual([1, 2].map((number) => ['Direct', number, 'dark', 'x']));
    await run;
  });

  it('is the one that others get in the same run, however Nest must make them', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class ByProperty {
      @Inject() readonly tenant!: Tenant;
      @Callback('x') answer() {
        ran.push(['ByProperty', this.tenant.number]);
      }
    }

    @Injectable({ scope: Scope.REQUEST })
    class WithOptional {
      constructor(
        @Optional() @Inject('nowhere') readonly missing: unknown,
        readonly tenant: Tenant,
      ) {}
      @Callback('x') answer() {
        ran.push(['WithOptional', this.tenant.number, this.missing]);
      }
    }

    @Injectable({ scope: Scope.TRANSIENT })
    class Own {
      constructor(readonly tenant: Tenant) {}
    }

    @Injectable({ scope: Scope.REQUEST })
    class WithTransient {
      constructor(
        readonly own: Own,
        @Inject('slow') readonly slow: { tenant: Tenant },
      ) {}
      @Callback('x') answer() {
        ran.push(['WithTransient', this.own.tenant.number, this.slow.tenant.number]);
      }
    }
    const slow = {
      provide: 'slow',
      scope: Scope.REQUEST,
      inject: [Tenant],
      useFactory: async (tenant: Tenant) => (await turn(), { tenant }),
    };

    @Injectable({ scope: Scope.REQUEST })
    class Left {
      constructor(
        @Inject(forwardRef(() => Right)) readonly right: unknown,
        readonly tenant: Tenant,
      ) {}
    }
    @Injectable({ scope: Scope.REQUEST })
    class Right {
      constructor(@Inject(forwardRef(() => Left)) readonly left: Left) {}
      @Callback('x') answer() {
        ran.push(['Right', this.left.tenant.number]);
      }
    }

    const others = [settings, slow] as unknown as Type[];
    const { events } = await startApp([
      Tenant,
      Direct,
      ByProperty,
      WithOptional,
      Own,
      WithTransient,
      Left,
      Right,
      ...others,
    ]);

    // What Nest had to make the first time, it may have noted for the second.
    for (const run of [1, 2]) {
      ran = [];
      await events.run('x');

      expect(ran).toEqual([
        ['Direct', run, 'dark', 'x'],
        ['ByProperty', run],
        ['WithOptional', run, undefined],
        ['WithTransient', run, run],
        ['Right', run],
      ]);
    }
  });

  it('is waited for while Nest makes it for another run of the same request', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class ByProperty {
      @Inject() readonly tenant!: Tenant;
      @Callback('y') answer() {
        ran.push(this.tenant.number);
      }
    }
    @Injectable({ scope: Scope.REQUEST })
    class Plain {
      constructor(readonly tenant: Tenant) {}
      @Callback('x') answer() {
        ran.push(this.tenant.number);
      }
    }
    const { events } = await startApp([Tenant, ByProperty, Plain]);

    for (let ticks = 0; ticks < 30; ticks++) {
      const ofRequest = events.with({ request: {} });
      const first = ofRequest.run('y');
      for (let tick = 0; tick < ticks; tick++) await null;
      await Promise.all([first, ofRequest.run('x')]);
    }

    expect(ran).toEqual(Array.from({ length: 60 }, (_, index) => Math.floor(index / 2) + 1));
  });

  it('waits for its guards, which depend on the request: one that cannot be made refuses every callback', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Policy {
      constructor() {
        throw new ConflictException('no policy');
      }
      canActivate() {
        return true;
      }
    }
    @Injectable({ scope: Scope.REQUEST })
    @UseGuards(Policy)
    class Guarded {
      @Callback('x', { optional: true }) first() {
        ran.push('first');
      }
      @Callback('x') second() {
        ran.push('second');
      }
    }
    const { events } = await startApp([Guarded, Policy]);

    await expect(events.run('x')).rejects.toThrow('no policy');
    expect(ran).toEqual([]);
  });

  it('gets what a provided promise resolves to', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Store {
      constructor(@Inject('connection') readonly connection: string) {}
      @Callback('x') answer() {
        ran.push(this.connection);
      }
    }
    const connection = { provide: 'connection', useValue: Promise.resolve('connected') };
    const { events } = await startApp([Store, connection] as Type[]);

    await events.run('x');
    await events.run('x');

    expect(ran).toEqual(['connected', 'connected']);
  });

  it('is one, also when its constructor runs an event for the same request', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Session {
      readonly number = ++made;
      constructor(events: EventRunner, @Inject(REQUEST) request: object) {
        if (this.number < 5) void events.with({ request }).run('session_began');
      }
      @Callback('x') answer() {}
      @Callback('session_began') began() {
        ran.push(this.number);
      }
    }
    const { events } = await startApp([Session]);

    await events.with({ request: {} }).run('x');
    await turn();

    expect(ran).toEqual([1]);
  });

  it('in a circle is refused in the words of Nest', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class A {
      constructor(@Inject('B') readonly b: unknown) {}
      @Callback('x') answer() {}
    }
    @Injectable({ scope: Scope.REQUEST })
    class B {
      constructor(@Inject('A') readonly a: unknown) {}
    }
    const circle = [
      { provide: 'A', useClass: A },
      { provide: 'B', useClass: B },
    ];
    // Nest 11 finds it at boot.
    const run = async () => (await startApp(circle as unknown as Type[])).events.run('x');

    await expect(run()).rejects.toThrow(/circular dependency/i);
  });

  it('sees REQUEST as others of its run do, also when a test has overridden that', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class ByProperty {
      @Inject(REQUEST) readonly current!: CurrentEvent;
      @Callback('x') answer() {
        ran.push(['ByProperty', this.current.event]);
      }
    }
    const testing = await Test.createTestingModule({
      imports: [EventsModule],
      providers: [Tenant, Direct, settings, ByProperty],
    })
      .overrideProvider(REQUEST)
      .useValue({ event: 'overridden' })
      .compile();
    const app = await testing.createNestApplication({ logger: false }).init();

    await app.get(EventRunner).run('x');

    expect(ran).toEqual([
      ['Direct', 1, 'dark', 'x'],
      ['ByProperty', 'x'],
    ]);
    await app.close();
  });

  it('answers with an observable that is awaited, whoever made it', async () => {
    const counting = defer(async () => ran.push('subscribed'));
    @Injectable({ scope: Scope.REQUEST })
    class Made {
      @Callback('x') answer() {
        return counting;
      }
    }
    @Injectable({ scope: Scope.REQUEST })
    class MadeByNest {
      @Inject() readonly tenant!: Tenant;
      @Callback('x') answer() {
        return counting;
      }
    }
    const { events } = await startApp([Tenant, Made, MadeByNest]);

    await events.run('x');

    expect(ran).toEqual(['subscribed', 'subscribed']);
  });

  it('is what moduleRef.resolve() finds', async () => {
    const request = {};

    @Injectable({ scope: Scope.REQUEST })
    class Asking {
      constructor(
        readonly tenant: Tenant,
        readonly modules: ModuleRef,
      ) {}
      @Callback('x') async answer() {
        const context = ContextIdFactory.getByRequest(request);
        ran.push((await this.modules.resolve(Tenant, context)) === this.tenant);
        ran.push((await this.modules.resolve(Asking, context)) === this);
      }
    }
    const { events } = await startApp([Tenant, Asking]);

    await events.with({ request }).run('x');

    expect(ran).toEqual([true, true]);
  });

  it('has passed through the instanceDecorator of the application', async () => {
    @Module({ imports: [EventsModule], providers: [Tenant, Direct, settings] })
    class AppModule {}
    const app = await NestFactory.createApplicationContext(AppModule, {
      logger: false,
      instrument: {
        instanceDecorator: (instance) =>
          instance instanceof Tenant ? { number: `decorated ${instance.number}` } : instance,
      },
    });

    await app.get(EventRunner).run('x');

    expect(ran).toEqual([['Direct', 'decorated 1', 'dark', 'x']]);
    await app.close();
  });

  it('is made anew by the next run when its constructor threw', async () => {
    let fails = true;
    @Injectable({ scope: Scope.REQUEST })
    class Moody {
      constructor(readonly tenant: Tenant) {
        if (fails) throw new ConflictException('not today');
      }
      @Callback('x') first() {
        ran.push(['Moody', this.tenant.number]);
      }
    }
    const { events } = await startApp([Tenant, Moody]);

    await expect(events.run('x')).rejects.toThrow('not today');
    fails = false;
    await events.run('x');

    expect(ran).toEqual([['Moody', 2]]);
  });
});
