/** `advance()` moves the time of a test. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { Inject, Injectable } from '@nestjs/common';
import { Callback, currentEvent, EventRunner, EventsModule } from 'nestjs-callbacks';
import { memoryEngine } from 'nestjs-callbacks/testing';
import { turn } from '../support/app.js';
import { closeAll, down, Emails, HOUR_MS, ran, start } from '../support/test-kit.js';

afterEach(closeAll);

describe('advance()', () => {
  it('moves the time on, so that a policy of hours takes no time', async () => {
    @Injectable()
    class Webhook {
      @Callback('x', { delivery: 'durable', retry: { attempts: 5, delayMs: HOUR_MS, maxDelayMs: 4 * HOUR_MS } })
      call() {
        ran.push(`attempt ${currentEvent()!.delivery!.attempt}`);
        throw down;
      }
    }
    const { events, run, deliveries } = await start([Webhook]);
    await run.run('x');
    const after = async (ms: number) => {
      await events.advance(ms);
      return ran.length;
    };
    expect(await after(0)).toBe(1);
    expect(await after(HOUR_MS - 1)).toBe(1);
    expect(await after(1)).toBe(2);
    expect(await after(2 * HOUR_MS - 1)).toBe(2);
    expect(await after(1 + 4 * HOUR_MS - 1)).toBe(3);
    expect(await after(1)).toBe(4);
    expect(await after(4 * HOUR_MS)).toBe(5);
    const [dead] = (await deliveries.list()).found;
    expect(dead.attempts).toBe(5);
    expect(dead.since.getTime() - dead.storedAt.getTime()).toBe(11 * HOUR_MS);
  });

  it('performs what becomes due on the way in its order, what that causes included', async () => {
    @Injectable()
    class Reminders {
      constructor(@Inject(EventRunner) private readonly events: EventRunner) {}
      @Callback('remind', { delivery: 'durable' }) async remind(name: string, times: number) {
        await turn();
        ran.push(`${name} ${times}`);
        if (times > 1) await this.events.with({ delayMs: HOUR_MS }).run('remind', name, times - 1);
      }
    }
    const { events, run } = await start([Reminders]);
    await run.with({ delayMs: HOUR_MS * 1.5 }).run('remind', 'late', 1);
    await run.with({ delayMs: HOUR_MS }).run('remind', 'often', 3);
    await events.advance(HOUR_MS - 1);
    expect(ran).toEqual([]);
    await events.advance(2 * HOUR_MS + 1);
    expect(ran).toEqual(['often 3', 'late 1', 'often 2', 'often 1']);
  });

  it('is refused where the time is the real one', async () => {
    const { events } = await start(
      { imports: [EventsModule.forRoot({ engine: memoryEngine() })], providers: [Emails] },
      { keepsEngine: true },
    );
    await expect(events.advance(1)).rejects.toMatchObject({
      code: 'EVENTS_TESTING_INVALID',
      message:
        'TestEvents.advance() was called, but with keepsEngine the time is the real one. Leave that option out, or set short delays.',
    });
  });
});
