/** What is done instead of calling a callback, and how one is made to fail. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { type CanActivate, ConflictException, Inject, Injectable, Scope, UseGuards } from '@nestjs/common';
import { Callback, EventRunner } from 'nestjs-callbacks';
import 'nestjs-callbacks/testing/jest';
import { Bot, closeAll, compile, down, Emails, ran, start, UserLeft, Users } from '../support/test-kit.js';

afterEach(closeAll);

describe('A fake', () => {
  it('takes the place of one callback, the rest stays real', async () => {
    const { events, run } = await start([Users, Emails, Bot]);
    events.fake('Users.add');
    events.fake('Emails.greet', async (name: string) => void ran.push(`fake ${name}`));
    await run.run('user_joined', 'Ada');
    await events.settled();
    expect(ran.sort()).toEqual(['announce Ada', 'fake Ada']);
    expect(events).toHaveCalled('Users.add', 'Ada');
    expect(events.callsOf('Users.add')[0].value).toBeUndefined();
  });

  it('takes the place of all callbacks of an event', async () => {
    @Injectable()
    class Leaving {
      @Callback(UserLeft) remove() {
        ran.push('remove');
      }
    }
    const { events, run } = await start([Users, Bot, Leaving]);
    events.fakeEvent('user_joined', (name: string) => ran.push(`fake ${name}`));
    events.fakeEvent(UserLeft);
    await run.run('user_joined', 'Ada');
    await run.run(new UserLeft('Ada'));
    await events.settled();
    expect(ran).toEqual(['fake Ada', 'fake Ada']);
  });

  it('may throw, and veto a run; neither guards nor request-scoped instances come before it', async () => {
    const taken = new ConflictException();
    @Injectable()
    class Nobody implements CanActivate {
      canActivate() {
        ran.push('guard');
        return false;
      }
    }
    @Injectable({ scope: Scope.REQUEST })
    class Guarded {
      constructor() {
        ran.push('made');
      }
      @UseGuards(Nobody)
      @Callback('user_joined')
      add() {}
    }
    const { events, run } = await start([Guarded, Nobody]);
    await expect(run.run('user_joined', 'Ada')).rejects.toThrow('Forbidden');
    expect(ran.splice(0)).toEqual(['made', 'guard']);
    events.fake('Guarded.add', () => {
      throw taken;
    });
    await expect(run.run('user_joined', 'Ada')).rejects.toBe(taken);
    expect(events).toHaveFailed('Guarded.add', ConflictException);
    expect(ran).toEqual([]);
  });

  it('may be set before the application starts', async () => {
    @Injectable()
    class Starts {
      constructor(@Inject(EventRunner) private readonly events: EventRunner) {}
      onModuleInit = () => this.events.run('user_joined', 'Ada');
    }
    const { app, events } = await compile([Starts, Users]);
    events.fake('Users.add', () => ran.push('fake'));
    await app.init();
    expect(ran).toEqual(['fake']);
  });
});

describe('fail()', () => {
  it('has a durable callback fail at some attempts of each delivery', async () => {
    const { events, run } = await start([Emails]);
    events.fail('Emails.greet', { attempt: [1, 2], error: down });
    await run.run('user_joined', 'Ada');
    await run.run('user_joined', 'Eve');
    await events.settled();
    expect(ran).toEqual(['greet Ada', 'greet Eve']);
    const attempts = (name: string) =>
      events
        .callsOf('Emails.greet')
        .flatMap(({ arguments: [who], attempt, status }) => (who === name ? [[attempt, status]] : []));
    expect(attempts('Eve')).toEqual([
      [1, 'rejected'],
      [2, 'rejected'],
      [3, 'fulfilled'],
    ]);
  });

  it('has any other callback fail at some calls, counted from then', async () => {
    const { events, run } = await start([Users]);
    await run.run('user_joined', 'zero');
    events.fail('Users.add', { attempt: 2 });
    await run.run('user_joined', 'one');
    await expect(run.run('user_joined', 'two')).rejects.toThrow('Users.add fails, as TestEvents.fail() has it');
    await run.run('user_joined', 'three');
    expect(ran).toEqual(['add zero', 'add one', 'add three']);
  });

  it('has a callback fail always, and its delivery die', async () => {
    const { events, run, deliveries } = await start([Emails]);
    events.fail('Emails.greet', { error: down });
    await run.run('user_joined', 'Ada');
    await events.settled();
    expect((await deliveries.list()).found).toMatchObject([{ attempts: 3, error: { message: down.message } }]);
    expect(events).toHaveFailed('Emails.greet', down);
  });
});
