/** Names are no patterns: who writes one as for another library hears of it at boot. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Callback, defineEvent } from 'nestjs-callbacks';
import { closeApps, startApp } from '../support/app.js';

afterEach(closeApps);

const REMEDY =
  'Names are matched exactly, so only a run of that very name calls it. Stack one @Callback() per event; or make it one class ' +
  'event, with a field that says which it is.';

describe('A callback of a name with an asterisk', () => {
  @Injectable()
  class Audit {
    @Callback('order.*') one() {}
    @Callback('order.*') another() {}
    @Callback('order.**') deep() {}
    @Callback('order:*', { delivery: 'background' }) colon() {}
    @Callback('*') all() {}
    @Callback(defineEvent('user.*')) defined() {}
    @Callback('order.created') created() {}
    @Callback('3 × 4') none() {}
  }

  it('A18: is warned of at boot, once for each name', async () => {
    const { log } = await startApp([Audit]);
    expect(log.of('warn')).toEqual([
      `"order.*" is answered by Audit.one. ${REMEDY}`,
      `"order.**" is answered by Audit.deep. ${REMEDY}`,
      `"order:*" is answered by Audit.colon. ${REMEDY}`,
      `"*" is answered by Audit.all. ${REMEDY}`,
      `"user.*" is answered by Audit.defined. ${REMEDY}`,
    ]);
  });

  it('A18: is called by a run of that very name', async () => {
    const { events } = await startApp([Audit]);
    expect((await events.runSettled('order.*')).map(({ callback }) => callback)).toEqual([
      'Audit.one',
      'Audit.another',
    ]);
  });
});

describe('A run that nobody answers', () => {
  @Injectable()
  class Audit {
    @Callback('order.*') log() {}
  }

  it('A18: names the pattern that it fits', async () => {
    const { events, log } = await startApp([Audit]);
    await events.run('order.created');
    expect(log.of('warn').at(-1)).toBe(
      '"order.created" was run, but no callback answers it. "order.*" is answered, but names are matched exactly.',
    );
  });

  it('A18: says so of a name with an asterisk', async () => {
    const { events, log } = await startApp([]);
    await events.run('order.*');
    expect(log.of('warn').at(-1)).toBe(
      '"order.*" was run, but no callback answers it. Names are matched exactly: run each event by its own.',
    );
  });
});
