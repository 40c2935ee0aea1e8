/** That what the READMEs show compiles, and that they are in the package. */
import { execFileSync } from 'node:child_process';
import { expect, it } from '@jest/globals';
import { compile } from '../support/compile.js';
import { BLOCKS, READMES, root } from '../support/readmes.js';

it('The ts blocks of all READMEs compile, as they stand, as files of one project', () => {
  const together = BLOCKS.filter(({ isAlone }) => !isAlone);
  expect(together.length).toBeGreaterThan(12);
  const names = together.map(({ name, readme }) => name ?? `unnamed, in ${readme}`);
  const messages = compile(
    together.map(({ source }) => source),
    names,
  );
  expect(names.map((name, index) => [name, messages[index]])).toEqual(names.map((name) => [name, []]));
});

it('The ts blocks of other applications compile, each alone', () => {
  const alone = BLOCKS.filter(({ isAlone }) => isAlone);
  expect(alone.length).toBeGreaterThan(0);
  expect(alone.map(({ source }) => compile([source]))).toEqual(alone.map(() => [[]]));
});

it('All READMEs are packed, each at its place', () => {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [{ files }] = JSON.parse(output) as [{ files: { path: string }[] }];
  const packed = files.map(({ path }) => path).filter((path) => path.endsWith('README.md'));
  expect(packed.toSorted()).toEqual([...READMES].toSorted());
});
