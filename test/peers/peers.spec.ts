/** The peers that run here are those that are meant, and they are the ends of our ranges. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from '@jest/globals';

/** Which of them run; neither with `npm test`, which takes those that we develop with. */
const { peers } = globalThis as { peers?: 'oldest' | 'newest' };

type Manifest = Record<'version', string> &
  Record<'dependencies' | 'devDependencies' | 'peerDependencies', Record<string, string>>;
const root = new URL('../../', import.meta.url);
const manifest = (folder: string): Manifest => JSON.parse(readFileSync(new URL(`${folder}package.json`, root), 'utf8'));

const { peerDependencies, devDependencies } = manifest('');
/** Where a version is not pinned for an end of a range, it is the one that we develop with. */
const pinned = (age: 'oldest' | 'newest') => manifest(`test/peers/${age}/`).dependencies;

/** What an engine stands on, and what it is asked for by. */
const USERS = {
  pg: ['', 'node_modules/pg-boss/'],
  ioredis: ['', 'node_modules/bullmq/'],
  '@electric-sql/pglite': [''],
};

describe.each(Object.entries(USERS))('%s', (name, users) => {
  const range = peerDependencies[name].split('||').map((part) => part.trim());

  it('is tried in the version with which its range begins, and in one of its last part', () => {
    expect(range[0]).toBe(`^${pinned('oldest')[name]}`);
    const [newest, last] = [pinned('newest')[name] ?? devDependencies[name], range.at(-1)!.slice(1)];
    // What is fixed by a caret: the first number that is not 0.
    const fixed = /^(0\.)*\d+/.exec(last)![0];
    expect(newest.startsWith(`${fixed}.`)).toBe(true);
  });

  it.each(users)('is the one that is meant, asked for from here or from /%s', (user) => {
    const found = createRequire(new URL(`${user}package.json`, root)).resolve(name);
    const version = peers && pinned(peers)[name];
    const folder = `${version ? `test/peers/${peers}/` : ''}node_modules/${name}/`;
    expect(found).toBe(createRequire(new URL(`${folder}package.json`, root)).resolve('./'));
    expect(manifest(folder).version).toBe(version ?? devDependencies[name]);
  });
});

it.each(['pg-boss', 'bullmq'])('%s is tried in the one version with which its range begins', (name) => {
  // Our own statements and scripts stand on its tables and keys.
  expect(peerDependencies[name]).toBe(`^${devDependencies[name]}`);
});
