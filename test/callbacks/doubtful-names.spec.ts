/** A5: The address of a durable callback hangs on the name of its class, which bundlers change. */
import { afterEach, describe, expect, it } from '@jest/globals';
import type { Type } from '@nestjs/common';
import { Callback, type CallbackOptions } from 'nestjs-callbacks';
import { memoryEngine } from 'nestjs-callbacks/testing';
import { closeApps, startApp } from '../support/app.js';

afterEach(closeApps);

function hostNamed(name: string, options: CallbackOptions = {}, event: unknown = 'x'): Type {
  class Host {
    @Callback(event as string, { delivery: 'durable', ...options }) greet() {}
  }
  Object.defineProperty(Host, 'name', { value: name });
  return Host;
}
const warnings = async (...hosts: Type[]) =>
  (await startApp(hosts, { engine: memoryEngine() })).log.of('warn').filter((line) => line.includes('addressed by'));

describe('A5: A durable address', () => {
  it.each(['n', 'cW', 't1', 'e$', '_', 'abc'])(
    'made of "%s" is warned of: a minifier names classes so',
    async (name) => {
      expect(await warnings(hostNamed(name))).toEqual([
        `Deliveries of "x" to ${name}.greet are addressed by the name of its class, which looks like one that a minifier made up: ` +
          'another build may give it to another class. Have the bundler keep the names of classes (keepNames, keep_classnames), ' +
          'or give the callback an id of its own: @Callback(event, { id: … }).',
      ]);
    },
  );

  it.each([
    ['Greetings', 'Greetings2'],
    ['Greetings', 'Greetings$1'],
    ['Greetings', 'Greetings_1'],
  ])('made of "%s" beside "%s" is warned of: bundlers number classes so', async (first, second) => {
    expect(await warnings(hostNamed(first), hostNamed(second))).toEqual([
      expect.stringMatching(
        new RegExp(`to ${second.replace('$', '\\$')}\\.greet .* which looks numbered by a bundler`),
      ),
    ]);
  });

  it('is warned of beside one whose class has no durable callback, or has an id', async () => {
    expect(await warnings(hostNamed('Greetings', { delivery: 'inline' }), hostNamed('Greetings2'))).toHaveLength(1);
    expect(await warnings(hostNamed('Greetings', { id: 'greet' }), hostNamed('Greetings2'))).toHaveLength(1);
  });

  it('is warned of when two classes share the name', async () => {
    expect(await warnings(hostNamed('Greetings'), hostNamed('Greetings', {}, 'y'))).toEqual([
      expect.stringContaining(
        '"x" to Greetings.greet are addressed by the name of its class, which another class has, too',
      ),
      expect.stringContaining(
        '"y" to Greetings.greet are addressed by the name of its class, which another class has, too',
      ),
    ]);
  });

  it('is warned of when the class has no name, or when that of the event looks made up', async () => {
    expect(await warnings(hostNamed(''))).toEqual([
      expect.stringContaining('"x" to (anonymous class).greet are addressed by the name of its class, which has none.'),
    ]);
    const Placed = { n: class {} }.n;
    expect(await warnings(hostNamed('Emails', { id: 'greet' }, Placed))).toEqual([
      expect.stringMatching(
        /^Deliveries of "n" are addressed by the name of the event's class, .*name of its own: defineEvent\(\)\.$/,
      ),
    ]);
  });

  it('is refused when it is that of two callbacks', async () => {
    await expect(startApp([hostNamed('n'), hostNamed('n')], { engine: memoryEngine() })).rejects.toMatchObject({
      code: 'EVENTS_CALLBACK_AMBIGUOUS',
    });
  });

  it('is not warned of with an id, with a name that somebody chose, or for callbacks that are not durable', async () => {
    expect(await warnings(hostNamed('n', { id: 'greet' }), hostNamed('t', { delivery: 'background' }))).toEqual([]);
    expect(await warnings(hostNamed('OAuth2'), hostNamed('Sha256'), hostNamed('Jobs'), hostNamed('SMS'))).toEqual([]);
  });
});
