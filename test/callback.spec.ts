/** What `@Callback()` and `run()` promise: which methods run, with what, in what order, and what happens when one throws. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { ConflictException, Injectable } from '@nestjs/common';
import { Callback } from 'nestjs-callbacks';
import { closeApps, startApp } from './app.js';

afterEach(closeApps);

describe('A callback', () => {
  it('that throws stops the ones after it, and its own error reaches the caller', async () => {
    const ran: string[] = [];
    const taken = new ConflictException('ada@example.org has an account');

    @Injectable()
    class SignUp {
      @Callback('user_joined') addUser() {
        throw taken;
      }
      @Callback('user_joined') greet() {
        ran.push('greet');
      }
    }

    const { events } = await startApp([SignUp]);

    await expect(events.run('user_joined', 'Ada', 'ada@example.org')).rejects.toBe(taken);
    expect(ran).toEqual([]);
  });
});
