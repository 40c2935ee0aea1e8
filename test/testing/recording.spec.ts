/** What a `TestEvents` records of runs and calls, and what it does not take. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Inject, Injectable } from '@nestjs/common';
import { Callback, defineEvent, EventRunner } from 'nestjs-callbacks';
import 'nestjs-callbacks/testing/jest';
import { z } from 'zod';
import { Bot, closeAll, down, Emails, ran, start, UserLeft, Users } from '../support/test-kit.js';

afterEach(closeAll);

describe('TestEvents', () => {
  it('records the headers of a run, as its callbacks see them', async () => {
    const { events, run } = await start([Users, Emails]);
    await run.with({ headers: { Tenant: 'acme' } }).run('user_joined', 'Ada');
    await run.run('nobody_answers');
    const [joined, unanswered] = events.runs;
    expect(joined.headers).toEqual({ tenant: 'acme', 'correlation-id': expect.any(String) });
    expect(unanswered.headers).toEqual({});
  });

  it('records what was run, in which order, with which arguments, and what each callback did', async () => {
    @Injectable()
    class Audit {
      @Callback(UserLeft) note({ name }: UserLeft) {
        if (name === 'Eve') throw down;
      }
    }
    const { events, run } = await start([Users, Emails, Bot, Audit]);
    await run.run('user_joined', 'Ada');
    await expect(run.run(new UserLeft('Eve'))).rejects.toBe(down);
    await run.run('nobody_answers', 1, 2);
    await events.settled();

    expect(events.runs.map(({ event, arguments: args, status }) => [event, args, status])).toEqual([
      ['user_joined', ['Ada'], 'fulfilled'],
      ['UserLeft', [new UserLeft('Eve')], 'rejected'],
      ['nobody_answers', [1, 2], 'fulfilled'],
    ]);
    expect(events.runs[1].reason).toBe(down);
    const [joined] = events.runsOf('user_joined');
    expect(joined.calls).toHaveLength(3);
    expect(joined.calls[0]).toEqual({
      event: 'user_joined',
      callback: 'Users.add',
      delivery: 'inline',
      arguments: ['Ada'],
      status: 'fulfilled',
      value: 3,
    });
    // Either may begin first.
    expect(joined.calls.slice(1)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ callback: 'Bot.announce', delivery: 'background', status: 'fulfilled' }),
        expect.objectContaining({
          callback: 'Emails.greet',
          delivery: 'durable',
          status: 'fulfilled',
          attempt: 1,
          id: expect.stringMatching(/^[\da-f-]{36}$/),
        }),
      ]),
    );
    expect(events.callsOf('Audit.note')).toEqual([
      {
        event: 'UserLeft',
        callback: 'Audit.note',
        delivery: 'inline',
        arguments: [new UserLeft('Eve')],
        status: 'rejected',
        reason: down,
      },
    ]);
    expect(events.calls).toHaveLength(4);
  });

  it('records what schemas make of arguments, and runs that they refuse', async () => {
    const counted = defineEvent('counted', z.coerce.number());
    class Sums {
      @Callback(counted) add() {}
    }
    const { events, run } = await start([Sums]);
    await run.run(counted, '42');
    await expect(run.run(counted, 'many')).rejects.toMatchObject({ code: 'EVENTS_ARGUMENTS_INVALID' });

    expect(events.runsOf(counted).map(({ arguments: [count], status }) => [count, status])).toEqual([
      [42, 'fulfilled'],
      ['many', 'rejected'],
    ]);
    expect(events.runsOf(counted)[1].calls).toEqual([]);
  });

  it('tells two classes of one name, and two applications, apart', async () => {
    const Other = { UserLeft: class UserLeft {} }.UserLeft;
    const one = await start([Users]);
    const two = await start([Users]);
    await one.run.run(new UserLeft('Ada'));
    await one.run.run(new Other());
    await two.run.run('user_joined', 'Eve');

    expect(one.events.runs).toHaveLength(2);
    expect(one.events.runsOf(UserLeft)).toHaveLength(1);
    expect(two.events.runs).toHaveLength(1);
    expect(two.events.calls).toHaveLength(1);
  });

  it('tells runs of two events apart though they store under one id', async () => {
    @Injectable()
    class Answers {
      @Callback('x', { delivery: 'durable' }) onX() {}
      @Callback('y', { delivery: 'durable' }) onY() {}
    }
    const { events, run } = await start([Answers]);
    const same = run.with({ id: '01a213b0-e5d0-7fe5-9c07-7ff43c702d43' });
    await same.run('x');
    await same.run('y');
    await events.settled();
    expect(events.runs.map(({ event, calls }) => [event, calls.map(({ callback }) => callback)])).toEqual([
      ['x', ['Answers.onX']],
      ['y', ['Answers.onY']],
    ]);
  });

  it('tells a name, and a class of that name, apart', async () => {
    @Injectable()
    class Answers {
      @Callback('UserLeft') onName() {
        ran.push('name');
      }
      @Callback(UserLeft) onClass() {
        ran.push('class');
      }
    }
    const { events, run } = await start([Answers]);
    events.fakeEvent('UserLeft');
    await run.run('UserLeft');
    await run.run(new UserLeft('Ada'));
    expect(ran).toEqual(['class']);
    expect(events.runsOf(UserLeft)).toHaveLength(1);
    expect(events.runsOf('UserLeft')).toHaveLength(1);
    expect(events).toHaveRunTimes('UserLeft', 1);
    expect(events).not.toHaveRun('UserLeft', new UserLeft('Ada'));
  });

  it('records from the first run on, and no more once the application has closed', async () => {
    @Injectable()
    class Early {
      constructor(@Inject(EventRunner) events: EventRunner) {
        void events.run('user_joined', 'early');
      }
    }
    const { app, events } = await start([Early, Users]);
    await events.settled();
    expect(events.runs.map(({ arguments: [name] }) => name)).toEqual(['early']);
    await app.close();
    expect(events).toHaveRun('user_joined', 'early');
  });

  it('works without any callbacks, for what only runs events', async () => {
    @Controller()
    class SignupController {
      constructor(@Inject(EventRunner) private readonly events: EventRunner) {}
      signUp = (name: string) => this.events.run('user_joined', name);
    }
    const { app, events } = await start({ controllers: [SignupController] });
    await app.get(SignupController).signUp('Ada');
    expect(events).toHaveRun('user_joined', 'Ada');
  });

  it('forgets on reset() what it has recorded, and what it was to do instead', async () => {
    const { events, run } = await start([Users, Emails]);
    events.fake('Users.add');
    events.fail('Emails.greet');
    await run.run('user_joined', 'Ada');
    await events.settled();
    expect(ran).toEqual([]);
    events.reset();
    expect([events.runs, events.calls]).toEqual([[], []]);
    await run.run('user_joined', 'Eve');
    await events.settled();
    expect(ran).toEqual(['add Eve', 'greet Eve']);
    expect(events.runs).toHaveLength(1);
  });

  it('refuses what it is not meant to be given', async () => {
    const { events } = await start([Users]);
    const testing = (message: string) => expect.objectContaining({ code: 'EVENTS_TESTING_INVALID', message });
    expect(() => events.callsOf('Users.ad')).toThrow(
      testing("TestEvents.callsOf() was given 'Users.ad', but no callback has that id. There is 'Users.add'."),
    );
    expect(() => events.fake('Emails.greet')).toThrow(
      testing("TestEvents.fake() was given 'Emails.greet', but no callback has that id. There is 'Users.add'."),
    );
    expect(() => events.fake('Users.add', 5 as never)).toThrow(
      testing('TestEvents.fake() was given 5 as what to do instead. Pass a function.'),
    );
    expect(() => events.fakeEvent('user_joind')).toThrow(
      testing(
        'TestEvents.fakeEvent() was given "user_joind", which no callback answers. There are callbacks of \'user_joined\'.',
      ),
    );
    expect(() => events.fakeEvent(5 as never)).toThrow(
      testing('TestEvents.fakeEvent() was given 5 as the event. Pass a name, a class, or what defineEvent() returned.'),
    );
    expect(() => events.fail('Users.add', { attempt: 0 })).toThrow(
      testing('TestEvents.fail() was given attempt: 0. Pass a number, 1 for the first, or several.'),
    );
    await expect(events.advance(-1)).rejects.toThrow(
      testing('TestEvents.advance() was given -1. Pass milliseconds, a whole number.'),
    );
    const { events: none } = await start([]);
    expect(() => none.fake('Users.add')).toThrow(
      testing(
        "TestEvents.fake() was given 'Users.add', but no callback has that id. There are no callbacks: does the module provide them, or import what does?",
      ),
    );
  });
});
