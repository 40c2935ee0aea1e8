/** Guards and their like that were written for requests: what they throw at an event is explained, and reaches the caller as it is. */
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { Callback } from 'nestjs-callbacks';
import { catchError, map } from 'rxjs';
import { NOW, startDurable } from '../delivery/durable-app.js';
import { closeApps, firstLines, startApp } from '../support/app.js';

afterEach(closeApps);

const headersOf = (context: ArgumentsHost) =>
  context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers.authorization;

class Guard implements CanActivate {
  canActivate(context: ExecutionContext) {
    return headersOf(context) !== 'never';
  }
}
class AsyncGuard implements CanActivate {
  async canActivate(context: ExecutionContext) {
    await Promise.resolve();
    return headersOf(context) !== 'never';
  }
}
class Interceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler) {
    headersOf(context);
    return next.handle();
  }
}
class AsyncInterceptor implements NestInterceptor {
  async intercept(context: ExecutionContext, next: CallHandler) {
    await Promise.resolve();
    headersOf(context);
    return next.handle();
  }
}
class Harmless implements NestInterceptor {
  intercept(_: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(
      map((value: unknown) => value),
      catchError((error: unknown) => {
        throw error;
      }),
    );
  }
}
class Filter implements ExceptionFilter {
  catch(_: unknown, host: ArgumentsHost) {
    headersOf(host);
  }
}
class Allows implements CanActivate {
  canActivate() {
    return true;
  }
}

const hint = (kind: string) =>
  ` (A ${kind} threw that. An event has no request: let it ask whether context.getType() === 'event', or switchToEvent(context).)`;

describe('A TypeError at an event', () => {
  it.each<[string, string, ClassDecorator & MethodDecorator]>([
    ['a guard', 'guard', UseGuards(Guard)],
    ['an asynchronous guard', 'guard', UseGuards(AsyncGuard)],
    ['an interceptor', 'interceptor', UseInterceptors(Interceptor)],
    ['an asynchronous interceptor', 'interceptor', UseInterceptors(AsyncInterceptor)],
    ['the second of two interceptors', 'interceptor', UseInterceptors(Harmless, Interceptor)],
  ])('A22: of %s on the class is explained in the log, and reaches the caller as it is', async (_, kind, decorate) => {
    @decorate
    @Controller()
    class Cats {
      @Callback('x') greet(_name?: string) {}
    }
    const { events, log } = await startApp({ controllers: [Cats] });

    const run = events.run('x', 'Ada');

    await expect(run).rejects.toThrow(TypeError);
    await expect(run).rejects.toThrow(/^Cannot read properties of undefined \(reading 'authorization'\)$/);
    expect(firstLines(log.of('error'))).toEqual([
      `"x": Cats.greet failed: Cannot read properties of undefined (reading 'authorization')${hint(kind)}`,
    ]);
    await expect(events.run('x')).rejects.toThrow("(reading 'headers')");
    expect(firstLines(log.of('error'))[1]).toContain(hint(kind));
  });

  it('A22: of a filter is explained', async () => {
    class Cats {
      @UseFilters(Filter) @Callback('x') greet(_name: string) {
        throw new Error('mailbox full');
      }
    }
    Injectable()(Cats);
    const { events, log } = await startApp([Cats]);
    await expect(events.run('x', 'Ada')).rejects.toThrow(TypeError);
    expect(firstLines(log.of('error'))[0]).toContain(hint('filter'));
  });

  it('A22: of a durable attempt is explained', async () => {
    @UseGuards(Guard)
    @Injectable()
    class Cats {
      @Callback('x', { delivery: 'durable', retry: { ...NOW, attempts: 1 } }) greet(_name: string) {}
    }
    const { events, done, log } = await startDurable([Cats]);
    await events.run('x', 'Ada');
    await done();
    expect(firstLines(log.of('error'))[0]).toContain(hint('guard'));
  });

  it('A22: of the callback itself is not', async () => {
    @UseGuards(Allows)
    @UseInterceptors(Harmless)
    @Injectable()
    class Cats {
      @Callback('x') async greet(name: { first: { letter: string } }) {
        return name.first.letter;
      }
    }
    const { events, log } = await startApp([Cats]);
    await expect(events.run('x', {})).rejects.toThrow(TypeError);
    expect(firstLines(log.of('error'))).toEqual([
      `"x": Cats.greet failed: Cannot read properties of undefined (reading 'letter')`,
    ]);
  });
});
