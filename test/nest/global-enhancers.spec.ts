/** Global guards, interceptors, pipes and filters: callbacks have them when the application asks for that. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CallHandler,
  type CanActivate,
  Catch,
  type ExceptionFilter,
  type ExecutionContext,
  ForbiddenException,
  Injectable,
  Scope,
  UseGuards,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { Callback, EventRunner, EventsModule } from 'nestjs-callbacks';
import { closeApps, Log, startApp } from '../support/app.js';

let ran: unknown[];

beforeEach(() => {
  ran = [];
});

afterEach(closeApps);

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
