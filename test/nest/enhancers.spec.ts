/** Guards, interceptors, pipes and filters on callbacks: they apply as on any handler. */
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
import { Reflector } from '@nestjs/core';
import { Callback, switchToEvent } from 'nestjs-callbacks';
import { concat, EMPTY, map, of } from 'rxjs';
import { closeApps, startApp, turn } from '../support/app.js';

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
