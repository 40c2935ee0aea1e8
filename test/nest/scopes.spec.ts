/** Callbacks of request-scoped, transient and durable providers: which instance answers, and what it can inject. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  ConflictException,
  Controller,
  Get,
  Inject,
  Injectable,
  type INestApplication,
  Req,
  Scope,
  UseGuards,
} from '@nestjs/common';
import { ContextIdFactory, REQUEST } from '@nestjs/core';
import { Callback, type CurrentEvent, EventRunner } from 'nestjs-callbacks';
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

describe('A callback of a request-scoped provider', () => {
  @Injectable({ scope: Scope.REQUEST })
  class Users {
    constructor(readonly tenant: Tenant) {}
    @Callback('x') add(name: string) {
      ran.push(['Users', this.tenant.number, name]);
    }
    @Callback('x') index(name: string) {
      ran.push(['Users again', this.tenant.number, name]);
    }
  }

  /** Depends on the request without saying so. */
  @Injectable()
  class Emails {
    constructor(readonly tenant: Tenant) {}
    @Callback('x') async greet(name: string) {
      await turn();
      ran.push(['Emails', this.tenant.number, name]);
    }
  }

  it('shares its instances with the other callbacks of the run, also when it only depends on the request', async () => {
    const { events } = await startApp([Tenant, Users, Emails]);

    await events.run('x', 'Ada');
    await events.run('x', 'Bob');

    expect(ran).toEqual([
      ['Users', 1, 'Ada'],
      ['Users again', 1, 'Ada'],
      ['Emails', 1, 'Ada'],
      ['Users', 2, 'Bob'],
      ['Users again', 2, 'Bob'],
      ['Emails', 2, 'Bob'],
    ]);
  });

  it('does so in runSettled() and runParallel() too', async () => {
    const { events } = await startApp([Tenant, Users, Emails]);
    await events.runSettled('x', 'Ada');
    await events.runParallel('x', 'Bob');
    expect(ran.map((entry) => (entry as unknown[])[1])).toEqual([1, 1, 1, 2, 2, 2]);
  });

  it('has a context of its own in each background attempt', async () => {
    @Injectable()
    class Later {
      constructor(readonly tenant: Tenant) {}
      @Callback('x', { delivery: 'background' }) one() {
        ran.push(this.tenant.number);
      }
      @Callback('x', { delivery: 'background' }) two() {
        ran.push(this.tenant.number);
      }
    }
    const { app, events } = await startApp([Tenant, Later]);
    await events.run('x');
    await app.close();
    expect(ran).toEqual([1, 2]);
  });

  it('injects as REQUEST the current event', async () => {
    @Injectable()
    class Audit {
      constructor(@Inject(REQUEST) private readonly current: CurrentEvent) {}
      @Callback('x') note() {
        ran.push(this.current.event, this.current.arguments, this.current.signal.aborted, this.current.request);
      }
    }
    const { events } = await startApp([Audit]);
    await events.run('x', 'Ada', 5);
    expect(ran).toEqual(['x', ['Ada', 5], false, undefined]);
  });

  it('whose constructor throws fails as if the callback had', async () => {
    const taken = new ConflictException('no tenant');
    @Injectable({ scope: Scope.REQUEST })
    class Broken {
      constructor() {
        throw taken;
      }
      @Callback('x') never() {}
    }
    @Injectable()
    class After {
      @Callback('x') go() {
        ran.push('after');
      }
    }
    const { events, log } = await startApp([Broken, After]);

    await expect(events.run('x')).rejects.toBe(taken);
    expect(await events.runSettled('x')).toMatchObject([
      { callback: 'Broken.never', status: 'rejected', reason: taken },
      { callback: 'After.go', status: 'fulfilled' },
    ]);
    expect(log.of('error')).toEqual([]);
  });

  it('made by a factory is found by the class that is its token', async () => {
    const { events } = await startApp({
      providers: [
        Tenant,
        { provide: Users, scope: Scope.REQUEST, inject: [Tenant], useFactory: (tenant: Tenant) => new Users(tenant) },
      ],
    });
    await events.run('x', 'Ada');
    expect(ran).toEqual([
      ['Users', 1, 'Ada'],
      ['Users again', 1, 'Ada'],
    ]);
  });

  it('may be a controller, and may be provided under another token', async () => {
    @Controller()
    class Page {
      constructor(readonly tenant: Tenant) {}
      @Callback('x') show() {
        ran.push(['Page', this.tenant.number]);
      }
    }
    const { events } = await startApp({
      controllers: [Page],
      providers: [Tenant, { provide: 'USERS', useClass: Users }],
    });
    await events.run('x', 'Ada');
    expect(ran).toEqual([
      ['Page', 1],
      ['Users', 1, 'Ada'],
      ['Users again', 1, 'Ada'],
    ]);
  });

  it('costs the singletons beside it nothing: they stay what they are', async () => {
    @Injectable()
    class Single {
      readonly number = ++made;
      @Callback('x') go() {
        ran.push(['Single', this.number]);
      }
    }
    const { events } = await startApp([Single, Tenant, Users]);
    await events.run('x', 'Ada');
    await events.run('x', 'Bob');
    expect(ran.filter((entry) => (entry as unknown[])[0] === 'Single')).toEqual([
      ['Single', 1],
      ['Single', 1],
    ]);
  });
});

describe('with({ request })', () => {
  @Injectable({ scope: Scope.REQUEST })
  class Session {
    readonly number = ++made;
    constructor(@Inject(REQUEST) readonly request: { headers: Record<string, string> }) {}
  }
  @Injectable()
  class Users {
    constructor(readonly session: Session) {}
    @Callback('x') add() {
      ran.push(['inline', this.session.number, this.session.request.headers['x-user']]);
    }
  }
  @Injectable()
  class Later {
    constructor(@Inject(REQUEST) readonly current: CurrentEvent) {}
    @Callback('x', { delivery: 'background' }) go() {
      const request = this.current.request as { headers: Record<string, string> };
      ran.push(['background', this.current.event, request.headers['x-user']]);
    }
  }

  const visit = async (app: INestApplication, user: string) => {
    await app.listen(0, '127.0.0.1');
    return (await fetch(await app.getUrl(), { headers: { 'x-user': user, connection: 'close' } })).text();
  };

  it('gives inline callbacks the same instances as the controller, and background ones the request', async () => {
    @Controller()
    class Page {
      constructor(
        private readonly events: EventRunner,
        private readonly session: Session,
      ) {}
      @Get() async get(@Req() request: object) {
        await this.events.with({ request }).run('x');
        return this.session.number;
      }
    }
    const { app } = await startApp({ controllers: [Page], providers: [Session, Users, Later] });

    expect(await visit(app, 'Ada')).toBe('1');
    await turn();
    await turn();
    expect(ran).toEqual([
      ['inline', 1, 'Ada'],
      ['background', 'x', 'Ada'],
    ]);
  });

  it('makes one context for the request when the controller has none, for all its runs', async () => {
    @Controller()
    class Page {
      constructor(private readonly events: EventRunner) {}
      @Get() async get(@Req() request: object) {
        await this.events.with({ request }).run('x');
        await this.events.with({ request }).runParallel('x');
        return 'ok';
      }
    }
    const { app } = await startApp({ controllers: [Page], providers: [Session, Users] });

    expect(await visit(app, 'Ada')).toBe('ok');
    expect(await (await fetch(await app.getUrl(), { headers: { 'x-user': 'Bob', connection: 'close' } })).text()).toBe(
      'ok',
    );
    expect(ran).toEqual([
      ['inline', 1, 'Ada'],
      ['inline', 1, 'Ada'],
      ['inline', 2, 'Bob'],
      ['inline', 2, 'Bob'],
    ]);
  });

  it('refuses what is no request', async () => {
    const { events } = await startApp([]);
    expect(() => events.with({ request: 'GET /' as never })).toThrow(
      "with() was given request: 'GET /'. Pass the request object of Express or Fastify.",
    );
  });
});

describe('A callback of a transient provider', () => {
  @Injectable({ scope: Scope.TRANSIENT })
  class Counter {
    private count = 0;
    readonly number = ++made;
    @Callback('x') one() {
      ran.push([this.number, ++this.count]);
    }
    @Callback('x') two() {
      ran.push([this.number, ++this.count]);
    }
  }

  it("gets a new instance for each run, shared by the run's callbacks", async () => {
    const { events } = await startApp([Counter]);
    made = 0;
    await events.run('x');
    await events.run('x');
    expect(ran).toEqual([
      [1, 1],
      [1, 2],
      [2, 1],
      [2, 2],
    ]);
  });
});

describe('A callback of a durable provider', () => {
  afterEach(() => ContextIdFactory.apply(undefined as never));

  it('shares its instance with all runs of the same sub-tree, which injects its payload as REQUEST', async () => {
    const trees = new Map<string, ReturnType<typeof ContextIdFactory.create>>();
    ContextIdFactory.apply({
      attach(contextId, request: CurrentEvent) {
        const [tenant] = request.arguments as [string];
        if (!trees.has(tenant)) trees.set(tenant, ContextIdFactory.create());
        return {
          resolve: ({ isTreeDurable }) => (isTreeDurable ? trees.get(tenant)! : contextId),
          payload: { tenant },
        };
      },
    });
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class Pool {
      readonly number = ++made;
      constructor(@Inject(REQUEST) private readonly payload: { tenant: string }) {}
      @Callback('x') use() {
        ran.push([this.payload.tenant, this.number]);
      }
    }
    const { events } = await startApp([Pool]);

    for (const tenant of ['a', 'b', 'a']) await events.run('x', tenant);

    expect(ran).toEqual([
      ['a', 1],
      ['b', 2],
      ['a', 1],
    ]);
  });

  it('and one that is not follows the strategy too', async () => {
    const forAll = ContextIdFactory.create();
    ContextIdFactory.apply({ attach: () => () => forAll });
    @Injectable({ scope: Scope.REQUEST })
    class Pool {
      constructor(readonly tenant: Tenant) {}
      @Callback('x') use() {
        ran.push(this.tenant.number);
      }
    }
    const { events } = await startApp([Tenant, Pool]);

    await events.run('x');
    await events.run('x');

    expect(ran).toEqual([1, 1]);
  });
});

describe('A run of durable and request-scoped callbacks', () => {
  afterEach(() => ContextIdFactory.apply(undefined as never));

  it('gives each the REQUEST that is its own: the payload, and the current event', async () => {
    const tree = ContextIdFactory.create();
    ContextIdFactory.apply({
      attach: (contextId) => ({
        resolve: ({ isTreeDurable }) => (isTreeDurable ? tree : contextId),
        payload: { tenant: 'acme' },
      }),
    });
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class Pool {
      constructor(@Inject(REQUEST) private readonly payload: { tenant: string }) {}
      @Callback('x') use() {
        ran.push(this.payload.tenant);
      }
    }
    @Injectable({ scope: Scope.REQUEST })
    class Audit {
      constructor(@Inject(REQUEST) private readonly current: CurrentEvent) {}
      @Callback('x') note() {
        ran.push(this.current.event);
      }
    }
    const { events } = await startApp([Pool, Audit]);
    await events.run('x');
    expect(ran).toEqual(['acme', 'x']);
  });
});

describe('A guard that depends on the request', () => {
  it('is made for each run, in the same context as the callback', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class TenantGuard {
      constructor(private readonly tenant: Tenant) {}
      canActivate() {
        ran.push(['guard', this.tenant.number]);
        return true;
      }
    }
    @Injectable()
    class Users {
      constructor(private readonly tenant: Tenant) {}
      @UseGuards(TenantGuard)
      @Callback('x')
      add() {
        ran.push(['callback', this.tenant.number]);
      }
    }
    @Injectable()
    class Single {
      @UseGuards(TenantGuard)
      @Callback('x')
      add() {
        ran.push('single');
      }
    }
    const { events } = await startApp([Tenant, Users, Single]);
    await events.run('x');
    await events.run('x');
    expect(ran).toEqual([
      ['guard', 1],
      ['callback', 1],
      ['guard', 1],
      'single',
      ['guard', 2],
      ['callback', 2],
      ['guard', 2],
      'single',
    ]);
  });
});
