/** How an application's own async context gets to where a callback is called: to each attempt, and after a commit. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, currentEvent, type EventHeaders, inTransaction, type Propagator } from 'nestjs-callbacks';
import { closeApps, firstLines, startApp, until } from '../support/app.js';
import { NOW, startDurable } from '../delivery/durable-app.js';

const tenants = new AsyncLocalStorage<string | undefined>();
const users = new AsyncLocalStorage<string>();

/** As the manual shows it. */
const tenantPropagator: Propagator = {
  inject: (headers) => void (headers.tenant ??= tenants.getStore()!),
  run: (headers, work) => tenants.run(headers.tenant, work),
};

let ran: unknown[];
beforeEach(() => {
  ran = [];
});
afterEach(closeApps);

@Injectable()
class Durable {
  @Callback('x', { delivery: 'durable', retry: NOW }) async go() {
    const { attempt } = currentEvent()!.delivery!;
    await null;
    ran.push(`attempt ${attempt} of ${tenants.getStore()}`);
    if (attempt === 1) throw new Error('no');
  }
}

const inSome = (work: () => Promise<void>) =>
  inTransaction((inside) => inside({ query: async () => ({ rows: [] }) }), work);
const withPropagators = (...propagators: Propagator[]) => ({ propagators });

describe('A propagator', () => {
  it('has each attempt see what the run was made in, whatever was run between', async () => {
    const { events, done } = await startDurable([Durable], withPropagators(tenantPropagator));

    await tenants.run('acme', () => events.run('x'));
    await tenants.run('globex', () => events.run('x'));
    await events.run('x');
    await done();

    const expected = [1, 2].flatMap((attempt) =>
      ['acme', 'globex', undefined].map((tenant) => `attempt ${attempt} of ${tenant}`),
    );
    expect(ran.toSorted()).toEqual(expected.toSorted());
  });

  it('writes headers, which the store shows, and leaves those alone that were passed, if it does', async () => {
    @Injectable()
    class Dying {
      @Callback('x', { delivery: 'durable', retry: { attempts: 1 } }) go() {
        ran.push(tenants.getStore());
        throw new Error('no');
      }
    }
    const { events, deliveries, done } = await startDurable([Dying], withPropagators(tenantPropagator));
    await tenants.run('acme', () => events.run('x'));
    await tenants.run('acme', () => events.with({ headers: { tenant: 'globex' } }).run('x'));
    await done();
    expect((await deliveries.list()).found.map(({ headers }) => headers!.tenant).toSorted()).toEqual([
      'acme',
      'globex',
    ]);
    expect(ran.toSorted()).toEqual(['acme', 'globex']);
  });

  it('has an after-commit callback see what its run was made in, rather than the commit', async () => {
    @Injectable()
    class Held {
      @Callback('x', { delivery: 'after-commit' }) async go() {
        await null;
        ran.push([tenants.getStore(), currentEvent()!.headers.tenant]);
      }
    }
    const { events } = await startApp([Held], withPropagators(tenantPropagator));
    await tenants.run('globex', () =>
      inSome(async () => {
        await tenants.run('acme', () => events.run('x'));
        await events.run('x');
      }),
    );
    expect(ran).toEqual([
      ['acme', 'acme'],
      ['globex', 'globex'],
    ]);
  });

  it('has a background callback see what its run was made in, within a transaction, too', async () => {
    @Injectable()
    class Background {
      @Callback('x', { delivery: 'background' }) async go() {
        await null;
        ran.push([tenants.getStore(), currentEvent()!.headers.tenant]);
      }
    }
    const { events } = await startApp([Background], withPropagators(tenantPropagator));
    await tenants.run('acme', () => events.run('x'));
    await tenants.run('globex', () => inSome(() => tenants.run('acme', () => events.run('x'))));
    await until(() => ran.length === 2);
    expect(ran).toEqual(Array(2).fill(['acme', 'acme']));
  });

  it('may be there with as many headers as there may be', async () => {
    const { events, done } = await startDurable([Durable], withPropagators(tenantPropagator));
    const headers = { tenant: 'a', most: 'a'.repeat(8_192 - 'tenanta'.length - 'most'.length) };
    await events.with({ headers }).run('x');
    await done();
    expect(ran).toEqual(['attempt 1 of a', 'attempt 2 of a']);
  });

  it('is asked for no run whose callbacks are all inline', async () => {
    @Injectable()
    class Inline {
      @Callback('x') go() {}
    }
    const inject = () => {
      throw new Error('asked');
    };
    const { events } = await startApp([Inline], withPropagators({ inject, run: (_, work) => work() }));
    await expect(events.with({ headers: { a: 'b' } }).run('x')).resolves.toBeUndefined();
  });

  it('is outside of the next, and sees what the one before has written', async () => {
    const userPropagator: Propagator = {
      inject: (headers) => void (headers.User = `${users.getStore()} of ${headers.tenant}`),
      run(headers, work) {
        ran.push(`user within ${tenants.getStore()}`);
        return users.run(headers.user, work);
      },
    };
    @Injectable()
    class Both {
      @Callback('x', { delivery: 'durable' }) go() {
        ran.push(users.getStore());
      }
    }
    const { events, done } = await startDurable([Both], withPropagators(tenantPropagator, userPropagator));
    await tenants.run('acme', () => users.run('ada', () => events.run('x')));
    await done();
    expect(ran).toEqual(['user within acme', 'ada of acme']);
  });

  it('has the context of 200 runs of as many tenants arrive with each, at each attempt', async () => {
    const seen: [string, string | undefined][] = [];
    @Injectable()
    class Each {
      @Callback('x', { delivery: 'durable', retry: NOW, concurrency: 50 }) async go(tenant: string) {
        await new Promise((resolve) => setImmediate(resolve));
        seen.push([tenant, tenants.getStore()]);
        if (currentEvent()!.delivery!.attempt < 3) throw new Error('no');
      }
    }
    const { events, done } = await startDurable([Each], withPropagators(tenantPropagator));
    const names = Array.from({ length: 200 }, (_, index) => `tenant ${index}`);
    await Promise.all(names.map((name) => tenants.run(name, () => events.run('x', name))));
    await done();
    expect(seen).toHaveLength(600);
    expect(seen.filter(([tenant, found]) => tenant !== found)).toEqual([]);
  });
});

describe('A propagator that fails', () => {
  class Tenants implements Propagator {
    inject(_headers: Record<string, string>): void {}
    run<T>(_headers: EventHeaders, work: () => T): T {
      return work();
    }
  }
  const failing = (change: Partial<Record<keyof Propagator, (...args: any[]) => any>>) =>
    withPropagators(Object.assign(new Tenants(), change) as Propagator);

  it.each<[string, (headers: Record<string, any>) => unknown, string]>([
    [
      'throws',
      () => {
        throw new Error('no store');
      },
      '"x" was not run: propagator Tenants threw in inject(). Have it leave a header out where there is nothing to write.',
    ],
    [
      'returns a promise',
      async () => {},
      '"x" was not run: propagator Tenants returned a promise from inject(), for which no run waits. Have it write the headers at once.',
    ],
    [
      'returns new headers',
      (headers) => ({ ...headers, tenant: 'acme' }),
      '"x" was not run: propagator Tenants returned an object from inject(), which nobody reads. Have it write into the headers that it is given.',
    ],
    [
      'writes no text',
      (headers) => (headers.tenant = 7),
      '"x" was not run: its propagators have written the header tenant: 7. Pass a string, or leave the header out.',
    ],
    [
      'writes too much',
      (headers) => (headers.baggage = 'a'.repeat(8_192)),
      expect.stringMatching(
        /^"x" was not run: its propagators have written headers of 8199 bytes, more than 8192\./,
      ) as never,
    ],
  ])('in inject(), and %s, has the run refused before any callback', async (_, inject, message) => {
    @Injectable()
    class Inline {
      @Callback('x') go() {
        ran.push('called');
      }
    }
    const { events, log } = await startDurable([Inline, Durable], failing({ inject }));
    await expect(events.run('x')).rejects.toMatchObject({ code: 'EVENTS_PROPAGATOR_FAILED', message });
    expect(ran).toEqual([]);
    expect(firstLines(log.of('error'))).toEqual([message]);
  });

  it.each<[string, (headers: object, work: () => unknown) => unknown, string]>([
    [
      'throws',
      () => {
        throw new Error('no store');
      },
      'In run(), propagator Tenants threw before the callback was called.',
    ],
    [
      'forgets the work',
      () => undefined,
      'In run(), propagator Tenants has not called the work that it was given. Have it return work().',
    ],
  ])('in run(), and %s, has the attempt fail, and be made again', async (_, run, message) => {
    const { events, deliveries, done } = await startDurable([Durable], failing({ run }));
    await events.run('x');
    await done();
    expect(ran).toEqual([]);
    const [dead] = (await deliveries.list()).found;
    expect(dead).toMatchObject({ attempts: 3, error: { code: 'EVENTS_PROPAGATOR_FAILED', message } });
  });

  it('and has no class is named by its place', async () => {
    const broken = { ...tenantPropagator, inject: () => Promise.resolve() as never };
    const { events } = await startDurable([Durable], withPropagators(tenantPropagator, broken));
    await expect(events.run('x')).rejects.toThrow('"x" was not run: propagators[1] returned a promise from inject()');
  });

  it('in run(), of a callback that waits for a commit, is reported', async () => {
    @Injectable()
    class Held {
      @Callback('x', { delivery: 'after-commit' }) go() {
        ran.push('called');
      }
    }
    const failures: unknown[] = [];
    const options = { ...failing({ run: () => undefined }), onError: (failure: unknown) => failures.push(failure) };
    const { events } = await startApp([Held], options);
    await inSome(() => events.run('x'));
    expect(ran).toEqual([]);
    expect(failures).toEqual([
      expect.objectContaining({
        callback: 'Held.go',
        error: expect.objectContaining({ code: 'EVENTS_PROPAGATOR_FAILED' }),
      }),
    ]);
  });

  it('after the callback was called, leaves it as it ended, and is reported; and so is work that it does not await', async () => {
    const late = new Error('late');
    const run = (_: object, work: () => unknown) => {
      void work();
      throw late;
    };
    const { events, log, deliveries, done } = await startDurable([Durable], failing({ run }));
    await events.run('x');
    await done();
    expect(ran).toEqual(['attempt 1 of undefined', 'attempt 2 of undefined']);
    expect((await deliveries.list()).found).toEqual([]);
    expect(firstLines(log.of('error'))).toEqual(Array(2).fill('"x": Durable.go failed: late'));
  });

  it('has the application refuse what is none', async () => {
    const options = { propagators: [tenantPropagator, { inject() {} }] as never };
    await expect(startApp([Durable], options)).rejects.toMatchObject({
      code: 'EVENTS_OPTION_INVALID',
      message:
        'EventsModule was configured with propagators[1]: { inject }. Pass { inject(headers), run(headers, work) }.',
    });
  });
});
