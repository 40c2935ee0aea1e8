/** What the matchers take, and what they say. */
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from '@jest/globals';
import { ConflictException, Injectable } from '@nestjs/common';
import { Callback, defineEvent } from 'nestjs-callbacks';
import 'nestjs-callbacks/testing/jest';
import { z } from 'zod';
import { closeAll, complaint, down, Emails, start, UserLeft, Users } from '../support/test-kit.js';

afterEach(closeAll);

describe('The matchers', () => {
  @Injectable()
  class Failing {
    @Callback('x') go() {
      throw down;
    }
  }

  it('toHaveRun() says what was run instead, and how the nearest differs', async () => {
    const { events, run } = await start([Users]);
    const toHaveRun = () => expect(events).toHaveRun('user_joined', 'Ada', expect.stringContaining('@'));
    expect(await complaint(toHaveRun)).toBe(
      'expect(events).toHaveRun("user_joined", "Ada", StringContaining "@")\n\nNothing was run.',
    );

    await run.run('user_joined', 'Eve', 'eve.example.org');
    await run.run('user_joined', 'Ada', 'ada.example.org');
    await run.run('user_left');
    expect(await complaint(toHaveRun)).toBe(
      [
        'expect(events).toHaveRun("user_joined", "Ada", StringContaining "@")',
        '',
        'With other arguments:',
        '- Expected',
        '+ Received',
        '',
        '  Array [',
        '    "Ada",',
        '-   StringContaining "@",',
        '+   "ada.example.org",',
        '  ]',
        '',
        'What was run:',
        '  1. "user_joined" ("Eve", "eve.example.org")',
        '  2. "user_joined" ("Ada", "ada.example.org")',
        '  3. "user_left" ()',
      ].join('\n'),
    );
    expect(events).toHaveRun('user_joined');
    expect(events).toHaveRun('user_joined', 'Eve', expect.any(String));
  });

  it('not.toHaveRun() names what was run', async () => {
    const { events, run } = await start([Failing]);
    expect(events).not.toHaveRun('x');
    await run.run('x', 'Ada').catch(() => {});
    await run.run('x', 'Eve').catch(() => {});
    expect(events).not.toHaveRun('x', 'Bob');
    expect(await complaint(() => expect(events).not.toHaveRun('x', 'Eve'))).toBe(
      'expect(events).not.toHaveRun("x", "Eve")\n\nIt was run:\n  1. "x" ("Eve"), and failed: the mail server is down',
    );
    expect(await complaint(() => expect(events).not.toHaveRun('x'))).toContain('\n  2. "x" ("Eve"), and failed');
  });

  it('toHaveRun() takes classes, their instances, and definitions', async () => {
    const Other = { UserLeft: class UserLeft {} }.UserLeft;
    const counted = defineEvent('counted', z.coerce.number());
    const { events, run } = await start([Users]);
    await run.run(new UserLeft('Ada'));
    await run.run(counted, '42');

    expect(events).toHaveRun(UserLeft);
    expect(events).toHaveRun(UserLeft, expect.objectContaining({ name: 'Ada' }));
    expect(events).toHaveRun(new UserLeft('Ada'));
    expect(events).not.toHaveRun(new UserLeft('Eve'));
    expect(events).not.toHaveRun(Other);
    expect(events).not.toHaveRun(new Other());
    expect(events).toHaveRun(counted, 42);
    expect(events).not.toHaveRun(counted, 43);
    expect(await complaint(() => expect(events).toHaveRun(new UserLeft('Eve')))).toContain(
      '-     "name": "Eve",\n+     "name": "Ada",',
    );
  });

  it('toHaveRunTimes() says how often it was', async () => {
    const { events, run } = await start([Users]);
    await run.run('user_joined', 'Ada');
    expect(events).toHaveRunTimes('user_joined', 1);
    expect(events).toHaveRunTimes('user_left', 0);
    expect(await complaint(() => expect(events).toHaveRunTimes('user_joined', 2))).toBe(
      'expect(events).toHaveRunTimes("user_joined", 2)\n\nIt was run once:\n  1. "user_joined" ("Ada")',
    );
    expect(await complaint(() => expect(events).not.toHaveRunTimes('user_joined', 1))).toBe(
      'expect(events).not.toHaveRunTimes("user_joined", 1)\n\nIt was run once:\n  1. "user_joined" ("Ada")',
    );
    expect(await complaint(() => expect(events).toHaveRunTimes('user_left', 1))).toBe(
      'expect(events).toHaveRunTimes("user_left", 1)\n\nIt was not run.\n\nWhat was run:\n  1. "user_joined" ("Ada")',
    );
  });

  it('toHaveCalled() says what was called instead', async () => {
    const { events, run } = await start([Users, Emails, Failing]);
    events.fail('Emails.greet', { attempt: 1, error: down });
    await run.run('user_joined', 'Ada');
    await run.run('x').catch(() => {});
    await events.settled();

    expect(events).toHaveCalled('Users.add', 'Ada');
    expect(await complaint(() => expect(events).toHaveCalled('Emails.greet', 'Eve'))).toBe(
      [
        'expect(events).toHaveCalled("Emails.greet", "Eve")',
        '',
        'With other arguments:',
        '- Expected',
        '+ Received',
        '',
        '  Array [',
        '-   "Eve",',
        '+   "Ada",',
        '  ]',
        '',
        'What was called:',
        '  1. Users.add ("Ada")',
        '  2. Failing.go (), which failed: the mail server is down',
        '  3. Emails.greet ("Ada"), attempt 1, which failed: the mail server is down',
        '  4. Emails.greet ("Ada"), attempt 2',
      ].join('\n'),
    );
    expect(await complaint(() => expect(events).not.toHaveCalled('Users.add'))).toBe(
      'expect(events).not.toHaveCalled("Users.add")\n\nIt was called:\n  1. Users.add ("Ada")',
    );
    events.reset();
    expect(await complaint(() => expect(events).toHaveCalled('Users.add'))).toBe(
      'expect(events).toHaveCalled("Users.add")\n\nNothing was called.',
    );
  });

  it('toHaveFailed() says what the callback did', async () => {
    const { events, run } = await start([Users, Failing]);
    await run.run('user_joined', 'Ada');
    await run.run('x').catch(() => {});

    for (const error of [
      'mail server',
      /down$/,
      Error,
      down,
      new Error(down.message),
      expect.objectContaining({ message: down.message }),
    ]) {
      expect(events).toHaveFailed('Failing.go', error);
    }
    expect(events).toHaveFailed('Failing.go');
    expect(events).not.toHaveFailed('Failing.go', 'the disk is full');
    expect(events).not.toHaveFailed('Users.add');
    expect(await complaint(() => expect(events).toHaveFailed('Users.add'))).toBe(
      'expect(events).toHaveFailed("Users.add")\n\nWhat it did:\n  1. Users.add ("Ada")',
    );
    expect(await complaint(() => expect(events).toHaveFailed('Failing.go', ConflictException))).toBe(
      'expect(events).toHaveFailed("Failing.go", ConflictException)\n\nWhat it did:\n  1. Failing.go (), which failed: the mail server is down',
    );
    expect(await complaint(() => expect(events).not.toHaveFailed('Failing.go', down))).toBe(
      'expect(events).not.toHaveFailed("Failing.go", [Error: the mail server is down])\n\nIt failed:\n  1. Failing.go (), which failed: the mail server is down',
    );
    events.reset();
    expect(await complaint(() => expect(events).toHaveFailed('Users.add'))).toBe(
      'expect(events).toHaveFailed("Users.add")\n\nIt was not called.',
    );
  });

  it('compare maps, sets and other iterables by what is in them', async () => {
    const { events, run } = await start([Users]);
    await run.run('x', new Map([['a', 1]]), new Set([1]));
    expect(events).toHaveRun('x', new Map([['a', 1]]), new Set([1]));
    expect(events).not.toHaveRun('x', new Map([['a', 2]]), new Set([1]));
    expect(events).not.toHaveRun('x', new Map([['a', 1]]), new Set([2]));
  });

  it('look at nothing that they do not have to', async () => {
    const { events, run } = await start([Users]);
    const lazy = {
      get name() {
        throw new Error('not to be looked at');
      },
    };
    await run.run('x', lazy);
    await run.run('x', 1);
    expect(events).toHaveRun('x');
    expect(events).toHaveRunTimes('x', 2);
    expect(await complaint(() => expect(events).toHaveRun('y'))).toContain(
      '1. "x" ((what cannot be printed: not to be looked at))',
    );
  });

  it('take whatever a callback throws', async () => {
    const thrown = [Object.create(null), { code: 42 }, undefined, 'a string', { toString: () => null }];
    let next = 0;
    @Injectable()
    class Throws {
      @Callback('x') go() {
        throw thrown[next++];
      }
    }
    const { events, run } = await start([Throws]);
    for (const _ of thrown) await run.run('x').catch(() => {});
    expect(events).toHaveFailed('Throws.go');
    expect(events).toHaveFailed('Throws.go', 'a string');
    expect(events).toHaveFailed('Throws.go', { code: 42 });
    expect(await complaint(() => expect(events).toHaveFailed('Throws.go', 'nothing of that'))).toContain(
      '2. Throws.go (), which failed: it threw { code: 42 }',
    );
  });

  it('know errors of Node by their class, and patterns that remember', async () => {
    @Injectable()
    class Reads {
      @Callback('x') read() {
        readFileSync('/nowhere/at/all');
      }
    }
    const { events, run } = await start([Reads]);
    await run.run('x').catch(() => {});
    expect(events).toHaveFailed('Reads.read', Error);
    expect(events).not.toHaveFailed('Reads.read', TypeError);
    const pattern = /nowhere/g;
    for (let times = 0; times < 2; times++) expect(events).toHaveFailed('Reads.read', pattern);
    expect(await complaint(() => expect(events).toHaveFailed('Reads.read', () => true))).toBe(
      'toHaveFailed() was given a function as the error. Pass a class, a message, a pattern or a value.',
    );
  });

  it('list no more than can be read', async () => {
    const { events, run } = await start([Users]);
    for (let times = 0; times < 25; times++) await run.run('user_joined', 'Ada');
    expect(await complaint(() => expect(events).toHaveRun('user_left'))).toMatch(
      /\n {2}20\. [^\n]+\n {2}… and 5 more$/,
    );
  });

  it('refuse what is no TestEvents, and ids that no callback has, also behind not', async () => {
    const { events, run } = await start([Users]);
    expect(await complaint(() => expect(run as any).toHaveRun('x'))).toBe(
      'toHaveRun() was given an EventRunner. Pass a TestEvents, as in: expect(app.get(TestEvents)).',
    );
    expect(await complaint(() => expect(undefined as any).not.toHaveCalled('x'))).toBe(
      'toHaveCalled() was given undefined. Pass a TestEvents, as in: expect(app.get(TestEvents)).',
    );
    for (const event of [{}, '', 5, undefined]) {
      expect(await complaint(() => expect(events).not.toHaveRun(event as never))).toContain(
        'as the event. Pass a name, a class',
      );
    }
    expect(await complaint(() => expect(events).not.toHaveCalled('Users.ad'))).toBe(
      "toHaveCalled() was given 'Users.ad', but no callback has that id. There is 'Users.add'.",
    );
  });
});
