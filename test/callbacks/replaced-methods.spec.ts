/** Methods that are not where `@Callback()` found them: replaced by decorators, copied by mixins, behind proxies. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type CanActivate, type ExecutionContext, Injectable, SetMetadata, UseGuards } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { Callback } from 'nestjs-callbacks';
import { closeApps, startApp } from '../support/app.js';

let ran: unknown[];

beforeEach(() => {
  ran = [];
});

afterEach(closeApps);

/** As decorators for tracing, caching and transactions do. */
const Wraps = (): MethodDecorator => (_target, _method, descriptor: TypedPropertyDescriptor<any>) => {
  const original = descriptor.value as (...args: unknown[]) => unknown;
  descriptor.value = function (...args: unknown[]) {
    ran.push('wrapped');
    return original.apply(this, args);
  };
};
/** The same, with the metadata of what it wraps. */
const WrapsWell = (): MethodDecorator => (target, method, descriptor: TypedPropertyDescriptor<any>) => {
  const original = descriptor.value as object;
  Wraps()(target, method, descriptor);
  for (const key of Reflect.getMetadataKeys(original)) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, original), descriptor.value as object);
  }
};

const guard = (name: string): CanActivate => ({
  canActivate(context: ExecutionContext) {
    ran.push(name, new Reflector().get('roles', context.getHandler()));
    return true;
  },
});
const [one, other] = [guard('one'), guard('other')];

@Injectable()
class No implements CanActivate {
  canActivate = () => false;
}

describe('A1: A decorator above @Callback() that replaces the method', () => {
  it('leaves the guards and the metadata below it in force', async () => {
    class Accounts {
      @Wraps()
      @Callback('x')
      @SetMetadata('roles', ['admin'])
      @UseGuards(one)
      open() {
        ran.push('open');
      }
    }
    const { events } = await startApp([Accounts]);
    await events.run('x');
    expect(ran).toEqual(['one', ['admin'], 'wrapped', 'open']);
  });

  it('leaves in force what is above @Callback(), and what is above itself, in the order of Nest', async () => {
    class Accounts {
      @UseGuards(other)
      @Wraps()
      @SetMetadata('roles', ['admin'])
      @UseGuards(one)
      @Callback('x')
      open() {}
    }
    const { events } = await startApp([Accounts]);
    await events.run('x');
    expect(ran).toEqual(['one', ['admin'], 'other', ['admin'], 'wrapped']);
  });

  it('may copy the metadata itself: each guard is asked once', async () => {
    class Accounts {
      @UseGuards(other)
      @WrapsWell()
      @Callback('x')
      @UseGuards(one)
      open() {}
    }
    const { events } = await startApp([Accounts]);
    await events.run('x');
    expect(ran).toEqual(['one', undefined, 'other', undefined, 'wrapped']);
  });

  it('leaves them in force for an override in a subclass', async () => {
    class Accounts {
      @Wraps() @Callback('x') @UseGuards(one) open() {}
    }
    class Others extends Accounts {
      override open() {
        ran.push('others');
      }
    }
    const { events } = await startApp([Others]);
    await events.run('x');
    expect(ran).toEqual(['one', undefined, 'others']);
  });

  it('has the application refused when Nest would not find a guard that it must create', async () => {
    class Accounts {
      @Wraps() @Callback('x') @UseGuards(No) open() {}
    }
    await expect(startApp([Accounts])).rejects.toMatchObject({
      code: 'EVENTS_ENHANCER_UNAVAILABLE',
      message: expect.stringContaining(
        'Accounts.open carries @UseGuards() that could not be applied to it: Nest does not find No there, since a decorator ' +
          'above it puts another function in the place of the method: write that one below.',
      ),
    });
    class Below {
      @Callback('x') @UseGuards(No) @Wraps() open() {}
    }
    const { events } = await startApp([Below]);
    await expect(events.run('x')).rejects.toMatchObject({ status: 403 });
  });
});

describe('A3: A mixin that copies methods', () => {
  class Greets {
    @Callback('x') greet(name: string) {
      ran.push(`${this.constructor.name} greets ${name}`);
    }
    @Wraps() @Callback('y', { optional: true }) @UseGuards(one) wave() {
      throw new Error('no hand');
    }
  }
  const mixIn = (target: Function, ...sources: Function[]) => {
    for (const { prototype } of sources as { prototype: object }[]) {
      for (const name of Object.getOwnPropertyNames(prototype).filter((own) => own !== 'constructor')) {
        Object.defineProperty(target.prototype, name, Object.getOwnPropertyDescriptor(prototype, name)!);
      }
    }
  };

  it('has them called on the class that they are copied to, with options, guards and all', async () => {
    class Emails {
      @Callback('x') first() {
        ran.push('first');
      }
    }
    mixIn(Emails, Greets);
    class Letters extends Emails {}
    const { events } = await startApp([Emails, Letters]);
    await events.run('x', 'Ada');
    expect(ran).toEqual(['first', 'Emails greets Ada', 'first', 'Letters greets Ada']);
    ran = [];
    await events.run('y');
    expect(ran).toEqual(['one', undefined, 'wrapped', 'one', undefined, 'wrapped']);
  });

  it('has them called once each, where the class that they come from is provided, too', async () => {
    class Emails {}
    mixIn(Emails, Greets);
    const { events } = await startApp([Greets, Emails]);
    expect((await events.runSettled('x', 'Ada')).map(({ callback }) => callback)).toEqual([
      'Greets.greet',
      'Emails.greet',
    ]);
  });

  it('has them called beside very many other names', async () => {
    class Many {}
    for (let index = 0; index < 100; index++) {
      const descriptor = { value() {}, configurable: true };
      Object.defineProperty(Many.prototype, `method${index}`, descriptor);
      Callback('many')(Many.prototype, `method${index}`, descriptor);
    }
    class Emails {}
    mixIn(Emails, Greets);
    const { events } = await startApp([Many, Emails]);
    expect((await events.runSettled('x', 'Ada')).map(({ callback }) => callback)).toEqual(['Emails.greet']);
  });

  it('leaves the declaration of the class itself in force', async () => {
    class Emails {
      @Callback('z') other() {}
    }
    mixIn(Emails, Greets);
    Callback('x', { id: 'own' })(
      Emails.prototype,
      'greet',
      Object.getOwnPropertyDescriptor(Emails.prototype, 'greet') as TypedPropertyDescriptor<() => void>,
    );
    const { events } = await startApp([Emails]);
    expect((await events.runSettled('x', 'Ada')).map(({ callback }) => callback)).toEqual(['own']);
  });
});

describe('A3: A provider behind a proxy', () => {
  class Emails {
    @Callback('x') greet(name: string) {
      ran.push(name);
    }
  }
  const provide = (make: () => object) => ({ providers: [{ provide: Emails, useFactory: make }] });

  it('is found where the proxy shows its class', async () => {
    const { events, log } = await startApp(provide(() => new Proxy(new Emails(), {})));
    await events.run('x', 'Ada');
    expect([ran, log.of('warn')]).toEqual([['Ada'], []]);
  });

  it('is warned of where it hides it', async () => {
    const emails = new Emails();
    const hiding = () => new Proxy({}, { get: (_target, name) => Reflect.get(emails, name) as unknown });
    const { log } = await startApp(provide(hiding));
    expect(log.of('warn')).toEqual([
      'Emails is provided by a proxy that hides its class, so its callbacks are not called. Give the proxy a trap ' +
        'getPrototypeOf: () => Emails.prototype, or have the callbacks in a provider that is no proxy.',
    ]);
  });

  it('is not warned of where something else takes its place on purpose', async () => {
    const { log } = await startApp(provide(() => ({ greet() {} })));
    expect(log.of('warn')).toEqual([]);
  });
});
