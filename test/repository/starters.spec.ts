/** That the starters differ only where their stacks do: who has read one has read all. */
import { expect, it } from '@jest/globals';
import { read, STARTERS } from '../support/manual.js';

const inEach = (file: string) => new Set(STARTERS.map((folder) => read(`${folder}/src/${file}`)));

it.each(['events.ts', 'emails.ts'])('All have the same %s', (file) => {
  expect(STARTERS.length).toBeGreaterThanOrEqual(3);
  expect([...inEach(file)]).toHaveLength(1);
});

it('All specify the same', () => {
  const titles = [...inEach('signup.spec.ts')].map((source) => source.match(/^it\('.*',/gm));
  expect(titles).toHaveLength(STARTERS.length);
  expect(titles).toEqual(titles.map(() => titles[0]));
  expect(titles[0]).toHaveLength(3);
});
