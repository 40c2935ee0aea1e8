/** How failures are told: each is logged with its event and callback, optional ones too, and no logger can break a run. */
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ConflictException, Injectable } from '@nestjs/common';
import { Callback, type CallbackFailure } from 'nestjs-callbacks';
import { closeApps, Log, startApp, turn } from '../support/app.js';

let ran: string[];

beforeEach(() => {
  ran = [];
});

afterEach(closeApps);

describe('A failure', () => {
  const failures: CallbackFailure[] = [];
  beforeEach(() => void failures.splice(0));
  const onError = (failure: CallbackFailure) => failures.push(failure);

  @Injectable()
  class Emails {
    error: unknown;
    @Callback('user_joined') async greet(_name: string) {
      throw this.error ?? new Error('mailbox full');
    }
  }

  it('is logged with its event, its callback and its stack, though the caller gets it too', async () => {
    const { events, log } = await startApp([Emails], { onError });

    await expect(events.run('user_joined', 'Ada')).rejects.toThrow('mailbox full');

    expect(log.of('error')).toHaveLength(1);
    expect(log.of('error')[0]).toMatch(
      /^"user_joined": Emails\.greet failed: mailbox full\nError: mailbox full\n +at Emails\.greet/,
    );
    expect(failures).toEqual([
      {
        event: 'user_joined',
        callback: 'Emails.greet',
        delivery: 'inline',
        arguments: ['Ada'],
        error: expect.objectContaining({ message: 'mailbox full' }),
        reachesCaller: true,
      },
    ]);
  });

  it('that is an HttpException is logged at debug level when the caller gets it', async () => {
    const { app, events, log } = await startApp([Emails]);
    app.get(Emails).error = new ConflictException('taken');

    await expect(events.run('user_joined', 'Ada')).rejects.toThrow('taken');

    expect(log.of('error')).toEqual([]);
    expect(log.of('debug').filter((line) => line.startsWith('"user_joined": Emails.greet failed: taken'))).toHaveLength(
      1,
    );
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('tracker down');
      },
    ],
    ['rejects', () => Promise.reject(new Error('tracker down'))],
  ])('is not hidden by an onError that %s: both are logged', async (_, broken) => {
    const { events, log } = await startApp([Emails], { onError: broken });

    await expect(events.run('user_joined', 'Ada')).rejects.toThrow('mailbox full');
    await turn();

    expect(log.of('error').map((line) => line.split('\n')[0])).toEqual([
      '"user_joined": Emails.greet failed: mailbox full',
      'The onError option of EventsModule threw: tracker down',
    ]);
  });

  it('of an optional callback is reported, and neither stops the rest nor reaches the caller', async () => {
    @Injectable()
    class Steps {
      @Callback('x', { optional: true }) one() {
        throw new Error('one');
      }
      @Callback('x', { optional: true }) async two() {
        throw new ConflictException('two');
      }
      @Callback('x') three() {
        ran.push('three');
      }
    }
    const { events, log } = await startApp([Steps], { onError });

    await events.run('x');
    await events.runParallel('x');

    expect(ran).toEqual(['three', 'three']);
    expect(failures.map(({ callback, reachesCaller }) => [callback, reachesCaller])).toEqual([
      ['Steps.one', false],
      ['Steps.two', false],
      ['Steps.one', false],
      ['Steps.two', false],
    ]);
    expect(log.of('error')).toHaveLength(4);
  });
});

describe('A logger that throws', () => {
  it('harms neither a run nor the process', async () => {
    @Injectable()
    class Emails {
      @Callback('x') greet() {
        throw new ConflictException('taken');
      }
      @Callback('y', { optional: true }) fail() {
        throw new Error('boom');
      }
    }
    const log = new Log();
    const { events } = await startApp([Emails], undefined, log);
    const told: unknown[] = [];
    const warning = jest.spyOn(process, 'emitWarning').mockImplementation((message) => void told.push(message));
    const broken = () => {
      throw new Error('log full');
    };
    Object.assign(log, { error: broken, warn: broken, debug: broken, log: broken });
    try {
      await expect(events.run('x')).rejects.toThrow('taken');
      await events.run('y');
      await events.run('nobody');
      await turn();
    } finally {
      warning.mockRestore();
    }
    expect(told).toEqual([
      '"x": Emails.greet failed: taken (and the logger threw when told: Error: log full)',
      '"y": Emails.fail failed: boom (and the logger threw when told: Error: log full)',
      expect.stringContaining('"nobody" was run, but no callback answers it.'),
    ]);
  });
});
