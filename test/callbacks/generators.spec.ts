/** A generator runs nothing when it is called: as a callback it is refused where it is seen first. */
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { Callback, EventsError } from 'nestjs-callbacks';
import ts from 'typescript';
import { NOW, startDurable } from '../delivery/durable-app.js';
import { closeApps, firstLines, startApp, turn } from '../support/app.js';

afterEach(closeApps);

const REMEDY =
  'A call of it runs nothing, but makes an iterator that nobody would ask. Make it a method that does the work itself, async if need be.';

function thrownBy(define: () => unknown): EventsError {
  try {
    define();
  } catch (error) {
    return error as EventsError;
  }
  throw new Error('It was not refused.');
}

const named = Symbol('named');

describe('@Callback() refuses, while the class is being defined,', () => {
  it.each<[string, string, () => unknown]>([
    [
      'a generator',
      'Bot.greet',
      () => {
        class Bot {
          @Callback('x') *greet() {
            yield 1;
          }
        }
        return Bot;
      },
    ],
    [
      'an async generator',
      'Bot.greet',
      () => {
        class Bot {
          @Callback('x') async *greet() {
            yield 1;
          }
        }
        return Bot;
      },
    ],
    [
      'a generator that is named by a symbol',
      'Bot.Symbol(named)',
      () => {
        class Bot {
          @Callback('x') *[named]() {
            yield 1;
          }
        }
        return Bot;
      },
    ],
  ])('A7: %s', (_, name, define) => {
    const error = thrownBy(define);
    expect(error).toBeInstanceOf(EventsError);
    expect(error).toMatchObject({
      code: 'EVENTS_NOT_A_METHOD',
      message: `@Callback() was put on ${name}, which is a generator. ${REMEDY}`,
    });
  });

  it.each([true, false])(
    'F10: a property with an arrow function, as TypeScript compiles it with useDefineForClassFields: %s',
    (useDefineForClassFields) => {
      const source = `class Bot { @Callback('x') greet = async () => {}; }`;
      const { outputText } = ts.transpileModule(source, {
        compilerOptions: { experimentalDecorators: true, useDefineForClassFields, target: ts.ScriptTarget.ES2022 },
      });
      expect(thrownBy(() => runInNewContext(outputText, { Callback }) as unknown)).toMatchObject({
        code: 'EVENTS_NOT_A_METHOD',
        message: expect.stringContaining('@Callback() was put on Bot.greet, which is a property. '),
      });
    },
  );

  it.each<[string, PropertyDescriptor | undefined]>([
    ['esbuild', undefined],
    ['Babel', { configurable: true, initializer: () => () => {} } as PropertyDescriptor],
  ])('F10: a property with an arrow function, as %s decorates it', (_, descriptor) => {
    class Bot {}
    const decorate = Callback('x') as (target: object, name: string, descriptor?: PropertyDescriptor) => void;
    expect(thrownBy(() => decorate(Bot.prototype, 'greet', descriptor)).message).toContain('which is a property. ');
  });
});

describe('A generator that takes the place of a method', () => {
  class Base {
    @Callback('x') greet(): unknown {
      return undefined;
    }
  }

  it('A7: by an override in a subclass, fails the boot', async () => {
    @Injectable()
    class Loud extends Base {
      override async *greet() {
        yield 1;
      }
    }
    await expect(startApp([Loud])).rejects.toMatchObject({
      code: 'EVENTS_NOT_A_METHOD',
      message: `@Callback() was put on Loud.greet, which is a generator. ${REMEDY}`,
    });
  });

  it('A7: by a property of the instance, fails the boot', async () => {
    @Injectable()
    class Loud extends Base {
      override greet = function* () {
        yield 1;
      };
    }
    await expect(startApp([Loud])).rejects.toMatchObject({ code: 'EVENTS_NOT_A_METHOD' });
  });

  it('A7: in a module that is loaded later, refuses the runs of its event', async () => {
    @Injectable()
    class Loud extends Base {
      override *greet() {
        yield 1;
      }
    }
    @Module({ providers: [Loud] })
    class Later {}
    const { app, events } = await startApp({ providers: [] });
    await app.get(LazyModuleLoader).load(() => Later);
    await expect(events.run('x')).rejects.toMatchObject({ code: 'EVENTS_NOT_A_METHOD' });
  });
});

/** Replaces the method by one that returns what the method itself returned, as many decorators do. */
const Wrapped = () => (_: object, __: string, descriptor: PropertyDescriptor) => {
  const inner = descriptor.value as (...args: unknown[]) => unknown;
  descriptor.value = function (this: unknown, ...args: unknown[]) {
    return inner.apply(this, args);
  };
};

/** As TypeScript and others write a generator for an older JavaScript. */
const compiledDown = () => ({ next() {}, return() {}, throw() {}, [Symbol.asyncIterator]() {} });

const message =
  'It returned an iterator, as a generator does when it is called, and nothing of it has run. Do the work in the callback itself.';

describe('A callback that returns an iterator which nobody would ask', () => {
  @Injectable()
  class Hidden {
    @Callback('x') @Wrapped() *one() {
      yield 1;
    }
    @Callback('y') @Wrapped() async *two() {
      yield 1;
    }
    @Callback('z') three() {
      return compiledDown();
    }
    @Callback('background', { delivery: 'background' }) @Wrapped() *four() {
      yield 1;
    }
  }

  it.each(['x', 'y', 'z'])('A7: has failed (%s)', async (event) => {
    const { events } = await startApp([Hidden]);
    const failed = { code: 'EVENTS_NOT_A_METHOD', message };
    await expect(events.run(event)).rejects.toMatchObject(failed);
    await expect(events.runParallel(event)).rejects.toMatchObject(failed);
    expect(await events.runSettled(event)).toMatchObject([{ status: 'rejected', reason: failed }]);
  });

  it('A7: has failed in the background', async () => {
    const { events, log } = await startApp([Hidden]);
    await events.run('background');
    await turn();
    expect(firstLines(log.of('error'))).toEqual([`"background": Hidden.four failed: ${message}`]);
  });

  it('A7: has failed as a durable attempt', async () => {
    @Injectable()
    class Durable {
      @Callback('x', { delivery: 'durable', retry: { ...NOW, attempts: 1 } }) @Wrapped() async *go() {
        yield 1;
      }
    }
    const { events, deliveries, done } = await startDurable([Durable]);
    await events.run('x');
    await done();
    expect((await deliveries.list()).found).toMatchObject([{ error: { code: 'EVENTS_NOT_A_METHOD' } }]);
  });

  it('A7: while any other value is none of our business', async () => {
    @Injectable()
    class Answers {
      @Callback('x') list() {
        return [1];
      }
      @Callback('x') map() {
        return new Map().entries();
      }
      @Callback('x') anything() {
        return new Proxy({}, { get: (_, name) => (name === 'then' || name === 'lift' ? undefined : () => undefined) });
      }
    }
    const { events } = await startApp([Answers]);
    expect((await events.runSettled('x')).map(({ status }) => status)).toEqual(Array(3).fill('fulfilled'));
  });
});
