/** One application that uses callbacks in every way a Nest developer may, served by Express and by Fastify. */
import { describe, expect, it } from '@jest/globals';
import {
  type CallHandler,
  type CanActivate,
  ConflictException,
  Controller,
  type ExecutionContext,
  Get,
  Inject,
  Injectable,
  type INestApplication,
  Module,
  Param,
  Req,
  Scope,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { LazyModuleLoader, REQUEST } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { Callback, defineEvent, EventRunner, EventsModule, switchToEvent } from 'nestjs-callbacks';
import { map } from 'rxjs';

const ran: unknown[] = [];

class UserJoined {
  constructor(readonly name: string) {}
}
const userLeft = defineEvent<[name: string]>('user_left');

@Injectable({ scope: Scope.REQUEST })
class Tenant {
  constructor(@Inject(REQUEST) readonly request: { headers: Record<string, string> }) {}
  get id() {
    return this.request.headers['x-tenant'];
  }
}

@Injectable()
class NotEve implements CanActivate {
  canActivate(context: ExecutionContext) {
    return (switchToEvent(context)!.arguments[0] as UserJoined).name !== 'Eve';
  }
}

@Injectable()
class Users {
  private readonly names = new Set<string>();

  @UseGuards(NotEve)
  @Callback(UserJoined)
  async add({ name }: UserJoined) {
    if (this.names.has(name)) throw new ConflictException(`${name} is taken`);
    this.names.add(name);
  }
}

@Injectable()
class Emails {
  constructor(private readonly tenant: Tenant) {}

  @UseInterceptors({
    intercept: (_context: ExecutionContext, next: CallHandler) => next.handle().pipe(map((text) => `${text}!`)),
  })
  @Callback(UserJoined, { after: Users })
  greet({ name }: UserJoined) {
    ran.push(`${this.tenant.id} greets ${name}`);
    return `Hello, ${name}`;
  }
}

@Injectable()
class Bot {
  @Callback(UserJoined, { delivery: 'background' }) announce({ name }: UserJoined) {
    ran.push(`announced ${name}`);
  }
}

@Injectable()
class LateComer {
  @Callback(userLeft) wave(name: string) {
    ran.push(`waved to ${name}`);
  }
}
@Module({ providers: [LateComer] })
class LazyModule {}

@Controller()
class Page {
  constructor(
    private readonly events: EventRunner,
    private readonly tenant: Tenant,
    private readonly lazyModules: LazyModuleLoader,
  ) {}

  @Get('join/:name') async join(@Param('name') name: string, @Req() request: object) {
    await this.events.with({ request }).run(new UserJoined(name));
    return { tenant: this.tenant.id };
  }

  @Get('settle/:name') async settle(@Param('name') name: string, @Req() request: object) {
    const outcomes = await this.events.with({ request }).runSettled(new UserJoined(name));
    return outcomes.map((outcome) => [outcome.callback, outcome.status, 'value' in outcome ? outcome.value : null]);
  }

  @Get('leave/:name') async leave(@Param('name') name: string) {
    await this.lazyModules.load(() => LazyModule);
    await this.events.run(userLeft, name);
    return {};
  }
}

@Module({ imports: [EventsModule], controllers: [Page], providers: [Emails, Users, Bot, Tenant] })
class AppModule {}

const adapters: [string, () => ExpressAdapter | FastifyAdapter][] = [
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter()],
];

describe.each(adapters)('On %s', (_, adapter) => {
  it('callbacks answer with their errors, scopes, guards, interceptors, lazy modules and background work', async () => {
    ran.length = 0;
    const testing = await Test.createTestingModule({ imports: [AppModule] }).compile();
    const app: INestApplication = testing.createNestApplication(adapter() as ExpressAdapter, { logger: false });
    await app.listen(0, '127.0.0.1');
    const get = async (path: string) => {
      const { port } = app.getHttpServer().address();
      const response = await fetch(`http://127.0.0.1:${port}/${path}`, {
        headers: { 'x-tenant': 'acme', connection: 'close' },
      });
      return [response.status, await response.json()];
    };

    expect(await get('join/Ada')).toEqual([200, { tenant: 'acme' }]);
    expect(await get('join/Ada')).toEqual([409, expect.objectContaining({ message: 'Ada is taken' })]);
    expect(await get('join/Eve')).toEqual([403, expect.objectContaining({ message: 'Forbidden resource' })]);
    expect(await get('settle/Bob')).toEqual([
      200,
      [
        ['Users.add', 'fulfilled', null],
        ['Emails.greet', 'fulfilled', 'Hello, Bob!'],
        ['Bot.announce', 'started', null],
      ],
    ]);
    expect(await get('leave/Ada')).toEqual([200, {}]);
    await app.close();

    expect(ran).toEqual(['acme greets Ada', 'announced Ada', 'acme greets Bob', 'announced Bob', 'waved to Ada']);
    await expect(app.get(EventRunner).run(userLeft, 'Ada')).rejects.toMatchObject({ code: 'EVENTS_CLOSED' });
  });
});
