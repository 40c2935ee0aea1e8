/** Guards, interceptors, pipes and filters on callbacks: they apply as on any handler, or the application does not start. */
import { inherits } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  type ArgumentMetadata,
  type ArgumentsHost,
  BadRequestException,
  type CallHandler,
  type CanActivate,
  Catch,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  ForbiddenException,
  Injectable,
  Module,
  type NestInterceptor,
  ParseIntPipe,
  type PipeTransform,
  Scope,
  SetMetadata,
  type Type,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE, Reflector } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { Callback, EventRunner, EventsModule, switchToEvent } from 'nestjs-callbacks';
import { concat, EMPTY, map, of } from 'rxjs';
import { closeApps, Log, startApp, turn } from '../support/app.js';

let ran: unknown[];
beforeEach(() => {
  ran = [];
});
afterEach(closeApps);

@Injectable()
class Policy {
  readonly allowed = ['Ada'];
}

@Injectable()
class NameGuard implements CanActivate {
  constructor(private readonly policy: Policy) {}
  canActivate(context: ExecutionContext) {
    const [name] = context.getArgs<[string]>();
    return this.policy.allowed.includes(name);
  }
}

describe('A guard', () => {
  @Injectable()
  class Accounts {
    @Callback('x') before() {
      ran.push('before');
    }
    @UseGuards(NameGuard)
    @Callback('x')
    async open(name: string) {
      await turn();
      ran.push(`open ${name}`);
    }
    @Callback('x') after() {
      ran.push('after');
    }
  }

  it('on the method lets the callback run or refuses it, with its dependencies injected', async () => {
    const { events } = await startApp([Policy, Accounts]);

    await events.run('x', 'Ada');
    expect(ran.splice(0)).toEqual(['before', 'open Ada', 'after']);

    await expect(events.run('x', 'Eve')).rejects.toThrow(ForbiddenException);
    expect(ran).toEqual(['before']);
  });

  it('on the class guards all its callbacks, of a controller too', async () => {
    @Controller()
    @UseGuards(NameGuard)
    class Page {
      @Callback('x') one() {
        ran.push('one');
      }
      @Callback('x') two() {
        ran.push('two');
      }
    }
    const { events } = await startApp({ controllers: [Page], providers: [Policy] });

    expect(await events.runSettled('x', 'Eve')).toMatchObject([
      { callback: 'Page.one', status: 'rejected', reason: { status: 403 } },
      { callback: 'Page.two', status: 'rejected', reason: { status: 403 } },
    ]);
    await events.run('x', 'Ada');
    expect(ran).toEqual(['one', 'two']);
  });

  it('sees the type of the context, event, callback and arguments, class, handler and their metadata', async () => {
    @Injectable()
    class Curious implements CanActivate {
      constructor(private readonly reflector: Reflector) {}
      canActivate(context: ExecutionContext) {
        ran.push(
          context.getType<'event'>(),
          switchToEvent(context),
          context.getClass(),
          context.getHandler().name,
          this.reflector.getAllAndOverride('roles', [context.getHandler(), context.getClass()]),
        );
        return true;
      }
    }
    class UserJoined {}
    @SetMetadata('roles', ['class'])
    @Injectable()
    class Accounts {
      @SetMetadata('roles', ['method'])
      @UseGuards(Curious)
      @Callback(UserJoined, { id: 'opening' })
      open(_event: UserJoined) {}
    }
    const { events } = await startApp([Accounts]);
    const event = new UserJoined();
    await events.run(event);

    expect(ran).toEqual([
      'event',
      { event: UserJoined, callback: 'opening', arguments: [event] },
      Accounts,
      'open',
      ['method'],
    ]);
  });

  it('given as an instance applies to any provider, and sees spies on the method', async () => {
    const guard: CanActivate = { canActivate: (context) => context.getArgs()[0] === 'Ada' };
    class Bot {
      @UseGuards(guard)
      @Callback('x')
      announce(name: string) {
        ran.push(name);
      }
    }
    const bot = new Bot();
    const { events } = await startApp({ providers: [{ provide: 'BOT', useFactory: () => bot }] });
    jest.spyOn(bot, 'announce').mockImplementation((name) => void ran.push(`spied ${name}`));

    await events.run('x', 'Ada');
    await expect(events.run('x', 'Eve')).rejects.toThrow(ForbiddenException);
    expect(ran).toEqual(['spied Ada']);
  });

  it('applies to a background callback, and to an event run by runParallel()', async () => {
    @Injectable()
    class Accounts {
      @UseGuards(NameGuard)
      @Callback('x', { delivery: 'background' })
      later() {
        ran.push('later');
      }
      @UseGuards(NameGuard)
      @Callback('y')
      now() {
        ran.push('now');
      }
    }
    const { events, log } = await startApp([Policy, Accounts]);
    await events.run('x', 'Eve');
    await turn();
    await turn();
    await expect(events.runParallel('y', 'Eve')).rejects.toThrow(ForbiddenException);

    expect(ran).toEqual([]);
    expect(log.of('error')[0]).toMatch(/^"x": Accounts\.later failed: Forbidden resource/);
  });

  it('of an overridden method guards the override too', async () => {
    const guard: CanActivate = { canActivate: () => false };
    class Base {
      @UseGuards(guard)
      @Callback('x')
      wipe() {
        ran.push('base');
      }
    }
    @Injectable()
    class Derived extends Base {
      override wipe() {
        ran.push('derived');
      }
    }
    const { events } = await startApp([Derived]);
    await expect(events.run('x')).rejects.toThrow(ForbiddenException);
    expect(ran).toEqual([]);
  });

  it('of a base class guards a class that inherits as before ES2015', async () => {
    const No = { canActivate: () => false };
    function Base() {}
    UseGuards(No)(Base);
    function Accounts() {}
    inherits(Accounts, Base);
    Accounts.prototype.open = () => ran.push('open');
    const method = Object.getOwnPropertyDescriptor(Accounts.prototype, 'open')!;
    Callback('x')(Accounts.prototype as object, 'open', method);
    Injectable()(Accounts);
    const { events } = await startApp([Accounts as unknown as Type]);

    await expect(events.run('x')).rejects.toThrow(ForbiddenException);
    expect(ran).toEqual([]);
  });

  it('that is transient is created with its dependencies', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class TransientGuard extends NameGuard {}
    @Injectable()
    class Accounts {
      @UseGuards(TransientGuard)
      @Callback('x')
      open(name: string) {
        ran.push(name);
      }
    }
    const { events } = await startApp([Policy, Accounts]);
    await events.run('x', 'Ada');
    await expect(events.run('x', 'Eve')).rejects.toThrow(ForbiddenException);
    expect(ran).toEqual(['Ada']);
  });
});

describe('An interceptor', () => {
  it('runs around the callback, and may change the value that runSettled() reports', async () => {
    @Injectable()
    class Doubling implements NestInterceptor<number, number> {
      intercept(_context: ExecutionContext, next: CallHandler<number>) {
        ran.push('before');
        return next.handle().pipe(
          map((value) => {
            ran.push('after');
            return value * 2;
          }),
        );
      }
    }
    @Injectable()
    class Calculator {
      @UseInterceptors(Doubling)
      @Callback('x')
      async add(a: number, b: number) {
        ran.push('callback');
        return a + b;
      }
    }
    const { events } = await startApp([Calculator]);

    expect(await events.runSettled('x', 1, 2)).toMatchObject([{ status: 'fulfilled', value: 6 }]);
    expect(ran).toEqual(['before', 'callback', 'after']);
  });

  it("may answer in the callback's place", async () => {
    const cached: NestInterceptor = { intercept: () => of('first', 'cached') };
    @Injectable()
    class Calculator {
      @UseInterceptors(cached)
      @Callback('x')
      add() {
        ran.push('callback');
      }
    }
    const { events } = await startApp([Calculator]);
    expect(await events.runSettled('x')).toMatchObject([{ status: 'fulfilled', value: 'cached' }]);
    expect(ran).toEqual([]);
  });
});

describe('An observable that a callback returns', () => {
  it('is awaited to its last value, with enhancers or without', async () => {
    @Injectable()
    class Streams {
      @Callback('x') two() {
        return concat(
          of(1),
          turn().then(() => ran.push('second')),
          of(3),
        );
      }
      @Callback('x') none() {
        ran.push('none');
        return EMPTY;
      }
      @UseInterceptors({ intercept: (_context, next) => next.handle() })
      @Callback('x')
      intercepted() {
        return of(4, 5);
      }
    }
    const { events } = await startApp([Streams]);
    expect((await events.runSettled('x')).map((outcome) => 'value' in outcome && outcome.value)).toEqual([
      3,
      undefined,
      5,
    ]);
    ran = [];
    await events.run('x');
    expect(ran).toEqual(['second', 'none']);
  });
});

describe('A pipe', () => {
  it('on the method or the class is given every argument, with its type, as it would be a body', async () => {
    class Order {
      constructor(readonly id: number) {}
    }
    const seen: ArgumentMetadata[] = [];
    @Injectable()
    class Trim implements PipeTransform {
      transform(value: unknown, metadata: ArgumentMetadata) {
        seen.push(metadata);
        return typeof value === 'string' ? value.trim() : value;
      }
    }
    @UsePipes(Trim)
    @Injectable()
    class Orders {
      @Callback('x') place(order: Order, note?: string, ...rest: unknown[]) {
        ran.push([order, note, rest]);
      }
    }
    const { events } = await startApp([Orders]);
    const order = new Order(1);

    await events.run('x', order, ' first ');
    await events.run('x', order, ' second ', ' more ', 5);
    await events.run('x', order);

    expect(ran).toEqual([
      [order, 'first', []],
      [order, 'second', ['more', 5]],
      [order, undefined, []],
    ]);
    expect(seen[0]).toMatchObject({ type: 'body', metatype: Order });
  });

  it("that refuses is the callback's failure", async () => {
    @Injectable()
    class Orders {
      @UsePipes(ParseIntPipe)
      @Callback('x')
      place(id: number) {
        ran.push(id);
      }
    }
    const { events } = await startApp([Orders]);
    await events.run('x', '42');
    await expect(events.run('x', 'many')).rejects.toThrow(BadRequestException);
    expect(ran).toEqual([42]);
  });
});

describe('A filter', () => {
  @Catch(BadRequestException)
  class Recovering implements ExceptionFilter {
    catch(error: BadRequestException, host: ArgumentsHost) {
      ran.push([host.getType<'event'>(), switchToEvent(host)?.callback, host.getArgs(), error.message]);
      return 'recovered';
    }
  }

  @UseFilters(Recovering)
  @Injectable()
  class Orders {
    @Callback('x') place(error: Error) {
      throw error;
    }
    @Callback('x') after() {
      ran.push('after');
    }
  }

  it("may recover: what it returns is the callback's value, and the run goes on", async () => {
    const { events, log } = await startApp([Orders]);
    const error = new BadRequestException('bad');

    expect(await events.runSettled('x', error)).toMatchObject([
      { status: 'fulfilled', value: 'recovered' },
      { status: 'fulfilled' },
    ]);
    expect(ran).toEqual([['event', 'Orders.place', [error], 'bad'], 'after']);
    expect(log.of('error')).toEqual([]);
  });

  it('leaves other errors as they are, reported once', async () => {
    const { events, log } = await startApp([Orders]);
    const error = new TypeError('bug');

    await expect(events.run('x', error)).rejects.toBe(error);
    expect(ran).toEqual([]);
    expect(log.of('error')).toHaveLength(1);
  });

  it('catches what a guard refuses', async () => {
    @Catch(ForbiddenException)
    class Silent implements ExceptionFilter {
      catch() {
        return 'refused';
      }
    }
    @Injectable()
    class Accounts {
      @UseFilters(new Silent())
      @UseGuards({ canActivate: () => false })
      @Callback('x')
      open() {}
    }
    const { events } = await startApp([Accounts]);
    expect(await events.runSettled('x')).toMatchObject([{ status: 'fulfilled', value: 'refused' }]);
  });
});

describe('Global enhancers', () => {
  const trace = (what: string) => ({
    canActivate: () => Boolean(ran.push(`${what} guard`)),
    intercept: (_context: ExecutionContext, next: CallHandler) => {
      ran.push(`${what} interceptor`);
      return next.handle();
    },
    transform: (value: unknown) => {
      ran.push(`${what} pipe`);
      return value;
    },
    catch: () => `${what} filter`,
  });
  @Catch()
  class GlobalFilter implements ExceptionFilter {
    catch() {
      return 'global filter';
    }
  }
  const globals = [
    { provide: APP_GUARD, useValue: trace('global') },
    { provide: APP_INTERCEPTOR, useValue: trace('global') },
    { provide: APP_PIPE, useValue: trace('global') },
    { provide: APP_FILTER, useClass: GlobalFilter },
  ];
  @Injectable()
  class Plain {
    @Callback('x') go(_name: string) {
      ran.push('callback');
      throw new Error('boom');
    }
  }
  @Injectable()
  class Guarded {
    @UseGuards({ canActivate: () => Boolean(ran.push('own guard')) })
    @Callback('y')
    go() {
      ran.push('callback');
    }
  }

  it('do not apply by themselves, not even beside own ones', async () => {
    const { events } = await startApp({ providers: [...globals, Plain, Guarded] });
    await expect(events.run('x', 'Ada')).rejects.toThrow('boom');
    await events.run('y');
    expect(ran).toEqual(['callback', 'own guard', 'callback']);
  });

  it('apply with the option appliesGlobalEnhancers', async () => {
    const { events } = await startApp({ providers: [...globals, Plain, Guarded] }, { appliesGlobalEnhancers: true });
    expect(await events.runSettled('x', 'Ada')).toMatchObject([{ status: 'fulfilled', value: 'global filter' }]);
    await events.run('y');
    expect(ran).toEqual([
      'global guard',
      'global interceptor',
      'global pipe',
      'callback',
      'global guard',
      'own guard',
      'global interceptor',
      'callback',
    ]);
  });

  it('that depend on the request are refused with it', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest implements CanActivate {
      canActivate() {
        return true;
      }
    }
    await expect(
      startApp({ providers: [{ provide: APP_GUARD, useClass: PerRequest }, Plain] }, { appliesGlobalEnhancers: true }),
    ).rejects.toMatchObject({
      code: 'EVENTS_ENHANCER_UNAVAILABLE',
      message: expect.stringMatching(
        /^Plain\.go carries global enhancers that could not be applied to it: PerRequest depends on the request/,
      ),
    });
  });
});

describe('The application does not start', () => {
  it('when a guard on the class would not apply, since Nest did not create the class', async () => {
    @UseGuards(NameGuard)
    class Accounts {
      @Callback('x') open() {}
    }
    await expect(
      startApp({ providers: [Policy, { provide: Accounts, useFactory: () => new Accounts() }] }),
    ).rejects.toMatchObject({
      code: 'EVENTS_ENHANCER_UNAVAILABLE',
      message:
        'Accounts.open carries @UseGuards() that could not be applied to it: AppModule does not know NameGuard, since Nest ' +
        'reads enhancers only from classes that it creates itself. Provide the class that carries it as a class (not by a ' +
        'factory or a value), decorate the overriding method itself, or remove it.',
    });
  });

  it('when a guard of an overridden method would not apply to the override', async () => {
    class Base {
      @UseGuards(NameGuard)
      @Callback('x')
      wipe() {}
    }
    @Injectable()
    class Derived extends Base {
      override wipe() {}
    }
    await expect(startApp([Policy, Derived])).rejects.toMatchObject({ code: 'EVENTS_ENHANCER_UNAVAILABLE' });
  });

  it('when what stands for an enhancer is none', async () => {
    class NoGuard {}
    @Injectable()
    class Accounts {
      @UseGuards(NoGuard as never)
      @Callback('x')
      open() {}
    }
    await expect(startApp([Accounts])).rejects.toThrow();
  });

  describe('when a guard that depends on the request would not be constructed, though another class brought it:', () => {
    @Injectable({ scope: Scope.REQUEST })
    class RequestGuard implements CanActivate {
      readonly denied = new Set(['Eve']);
      canActivate(context: ExecutionContext) {
        return !this.denied?.has(context.getArgs<[string]>()[0]);
      }
    }
    @UseGuards(RequestGuard)
    @Injectable()
    class Bringing {
      @Callback('y') bring() {}
    }
    @UseGuards(RequestGuard)
    class Accounts {
      @Callback('x') open() {}
    }
    class Base {
      @UseGuards(RequestGuard)
      @Callback('x')
      open() {}
    }
    @Injectable()
    class Derived extends Base {
      override open() {}
    }
    it.each([
      ['made by a factory', { provide: Accounts, useFactory: () => new Accounts() }],
      ['an undecorated override', Derived],
    ])('%s', async (_, provider) => {
      await expect(startApp({ providers: [Bringing, provider] })).rejects.toMatchObject({
        code: 'EVENTS_ENHANCER_UNAVAILABLE',
      });
    });
  });

  it('when a request-scoped class is both a controller and a provider', async () => {
    @Controller({ scope: Scope.REQUEST })
    class Page {
      @Callback('x') show() {}
    }
    await expect(startApp({ controllers: [Page], providers: [Page] })).rejects.toMatchObject({
      code: 'EVENTS_CALLBACK_INVALID',
      message:
        'Page.show has two request-scoped hosts: Page is both a controller and a provider of AppModule. Remove it from the providers.',
    });
  });

  it('when pipes would not know the parameters, or guards the class', async () => {
    const name = Symbol('open');
    @UsePipes(ParseIntPipe)
    @Injectable()
    class BySymbol {
      @Callback('x') [name]() {}
    }
    @UseGuards({ canActivate: () => false })
    class Disguised {
      @Callback('x') open() {}
    }
    const disguised = Object.assign(new Disguised(), { constructor: Object });
    for (const provider of [BySymbol, { provide: 'D', useValue: disguised }]) {
      await expect(startApp({ providers: [provider] })).rejects.toMatchObject({ code: 'EVENTS_ENHANCER_UNAVAILABLE' });
    }
  });

  it('but does with a guard that reaches the class through another module, or under another token', async () => {
    @Injectable()
    @UseGuards(NameGuard)
    class Accounts {
      @Callback('x') open(name: string) {
        ran.push(name);
      }
    }
    @Module({ providers: [Policy, { provide: 'ACCOUNTS', useClass: Accounts }] })
    class AccountsModule {}
    const { events } = await startApp({ imports: [AccountsModule] });
    await events.run('x', 'Ada');
    await expect(events.run('x', 'Eve')).rejects.toThrow(ForbiddenException);
    expect(ran).toEqual(['Ada']);
  });
});

describe('A factory that runs per request', () => {
  it('and returns a guarded subclass fails the run rather than leave the guard out', async () => {
    class Base {
      @Callback('x') go() {
        ran.push('unguarded');
      }
    }
    @UseGuards({ canActivate: () => false })
    class Guarded extends Base {}
    class Plain extends Base {}
    for (const Made of [Guarded, Plain]) {
      const { events } = await startApp({
        providers: [{ provide: Base, scope: Scope.REQUEST, useFactory: () => new Made() }],
      });
      const run = events.run('x');
      if (Made === Plain) await run;
      else await expect(run).rejects.toMatchObject({ code: 'EVENTS_ENHANCER_UNAVAILABLE' });
    }
    expect(ran).toEqual(['unguarded']);
  });
});

describe('Global guards set after an early run', () => {
  it('apply from the start of the application on', async () => {
    @Injectable()
    class Bot {
      @Callback('x') go() {
        ran.push('went');
      }
    }
    const app = (
      await Test.createTestingModule({
        imports: [EventsModule.forRoot({ appliesGlobalEnhancers: true })],
        providers: [Bot],
      })
        .setLogger(new Log())
        .compile()
    ).createNestApplication();
    const events = app.get(EventRunner);
    await events.run('x');
    app.useGlobalGuards({ canActivate: () => false });
    await app.init();
    await expect(events.run('x')).rejects.toThrow(ForbiddenException);
    await app.close();
    expect(ran).toEqual(['went']);
  });
});
