/** Guards, interceptors, pipes and filters that would not apply to a callback: the application does not start, or the run fails. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CanActivate,
  Controller,
  type ExecutionContext,
  ForbiddenException,
  Injectable,
  Module,
  ParseIntPipe,
  Scope,
  UseGuards,
  UsePipes,
} from '@nestjs/common';
import { Callback } from 'nestjs-callbacks';
import { closeApps, startApp } from '../support/app.js';

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
