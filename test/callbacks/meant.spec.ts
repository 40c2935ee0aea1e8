/** What somebody has probably meant, where the habit of another library shows. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { Callback, EventRunner, EventsModule, type EventsOptions } from 'nestjs-callbacks';
import { closeApps, startApp } from '../support/app.js';

afterEach(closeApps);

function messageOf(does: () => unknown): string {
  try {
    does();
  } catch (error) {
    return (error as Error).message;
  }
  return 'It was taken.';
}

const decorating = (event: unknown, options?: unknown) =>
  messageOf(() => {
    class Bot {
      @(Callback(event as 'x', options as object) as MethodDecorator) announce() {}
    }
    return Bot;
  });

class UserJoined {}

describe('@Callback() says what was probably meant', () => {
  it.each(['durable', 'background', 'inline', 'after-commit', 'after-rollback'])(
    'A21: by the delivery %s in place of the options',
    (delivery) => {
      const remedy = `Bot.announce has the options '${delivery}'. Write { delivery: '${delivery}' }.`;
      expect(decorating('x', delivery)).toBe(remedy);
      expect(decorating(UserJoined, delivery)).toBe(remedy);
    },
  );

  it('A21: by a mistyped delivery, and by any other text', () => {
    expect(decorating('x', 'durabel')).toBe(`Bot.announce has the options 'durabel'. Write { delivery: 'durable' }.`);
    expect(decorating('x', 'user_left')).toBe(
      `Bot.announce has the options 'user_left'. Pass an object, or leave them out; for several events stack one @Callback() per event.`,
    );
  });

  it('A21: by an array of events', () => {
    const stack = 'Stack one @Callback() per event.';
    expect(decorating(['x', 'y'])).toBe(`@Callback() on Bot.announce was given [ 'x', 'y' ] as the event. ${stack}`);
    expect(decorating([UserJoined])).toContain(`[ the function UserJoined ] as the event. ${stack}`);
    expect(decorating([])).toContain(stack);
  });

  it.each<[string, unknown, string]>([
    ['retries', 3, 'retry.attempts'],
    ['attempts', 3, 'retry.attempts'],
    ['maxAttempts', 3, 'retry.attempts'],
    ['backoff', 'fixed', 'retry.backoff'],
    ['maxDelayMs', 5, 'retry.maxDelayMs'],
    ['timeout', 5, 'timeoutMs'],
    ['parallelism', 5, 'concurrency'],
    ['async', true, `delivery: 'background'`],
    ['durable', true, `delivery: 'durable'`],
    ['suppressErrors', true, 'optional'],
  ])('A21: by the option %s', (option, value, meant) => {
    expect(decorating('x', { delivery: 'durable', [option]: value })).toContain(
      `which @Callback() does not have. Did you mean ${meant.includes(':') ? meant : `"${meant}"`}?`,
    );
  });

  it('A21: by an option within one', () => {
    expect(decorating('x', { delivery: 'durable', retry: { retries: 3 } })).toContain('Did you mean "retry.attempts"?');
    expect(decorating('x', { delivery: 'durable', retry: { delay: 3 } })).toContain('Did you mean "retry.delayMs"?');
    expect(decorating('x', { delivery: 'durable', retry: { type: 'fixed' } })).toContain('There are retry.attempts, ');
  });
});

it('A21: @Callback without its parentheses is still told from options that are text', () => {
  const bare = Callback as unknown as MethodDecorator;
  expect(
    messageOf(() => {
      class Bot {
        @bare static durable() {}
      }
      return Bot;
    }),
  ).toContain("Write its event in parentheses: @Callback('user_joined').");
});

describe('with() says what was probably meant', () => {
  it.each<[string, unknown, string]>([
    ['delay', 5, 'delayMs'],
    ['delayMS', 5, 'delayMs'],
    ['transaction', {}, 'tx'],
    ['trx', {}, 'tx'],
    ['manager', {}, 'tx'],
    ['entityManager', {}, 'tx'],
    ['queryRunner', {}, 'tx'],
    ['client', {}, 'tx'],
    ['session', {}, 'tx'],
    ['req', {}, 'request'],
    ['orderingKey', 'a', 'key'],
    ['deduplicationId', 'a', 'id'],
  ])('A21: by the field %s', async (field, value, meant) => {
    const { events } = await startApp([]);
    expect(messageOf(() => events.with({ [field]: value } as object))).toMatch(
      new RegExp(`^with\\(\\) was given ${field}: .*\\. It has no such field\\. Did you mean "${meant}"\\?$`),
    );
  });

  it('A21: by a field that says nothing', async () => {
    const { events } = await startApp([]);
    expect(messageOf(() => (events as EventRunner).with({ colour: 'red' } as object))).toBe(
      `with() was given colour: 'red'. It has no such field. There are tx, request, key, delayMs, id, headers. ` +
        'What the event carries is passed to run() after the event.',
    );
  });
});

describe('EventsModule says what was probably meant', () => {
  it.each<[string, unknown, string]>([
    ['url', 'x', 'engine'],
    ['connectionString', 'x', 'engine'],
    ['retry', { attempts: 3 }, 'durable.retry'],
    ['retries', 3, 'durable.retry.attempts'],
    ['attempts', 3, 'durable.retry.attempts'],
    ['concurrency', 3, 'background.concurrency" or "durable.concurrency'],
    ['timeout', 3, 'durable.timeoutMs'],
    ['onFailure', () => {}, 'onError'],
    ['worker', true, 'work'],
  ])('A21: by the option %s', async (option, value, meant) => {
    const options = { [option]: value } as EventsOptions;
    await expect(startApp({ imports: [EventsModule.forRoot(options)] })).rejects.toThrow(
      `which is not an option of it. Did you mean "${meant}"?`,
    );
  });
});
