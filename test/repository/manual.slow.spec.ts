/** That what the manual shows compiles at every step, and that its pages and the starters are in the package. */
import { execFileSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { compile } from '../support/compile.js';
import { ALONE, BLOCKS, PAGES, projectsOf, root } from '../support/manual.js';

const projects = projectsOf(BLOCKS);

it('shows a project that changes as one reads', () => {
  expect(projects.length).toBeGreaterThan(4);
  expect(projects.at(-1)!.size).toBeGreaterThan(30);
});

it.each(projects.map((project, index) => [index, project] as const))(
  'The files that a reader has written down compile as one project: step %#',
  (_, project) => {
    const names = [...project.keys()];
    const messages = compile(
      [...project.values()],
      names.map((name) => name.replace('src/', '')),
    );
    expect(names.map((name, at) => [name, messages[at]])).toEqual(names.map((name) => [name, []]));
  },
);

it('The ts blocks of other applications compile, each alone', () => {
  expect(ALONE.length).toBeGreaterThan(0);
  expect(ALONE.map((source) => compile([source]))).toEqual(ALONE.map(() => [[]]));
});

describe('The package', () => {
  let packed: string[];
  beforeAll(() => {
    const command = ['pack', '--dry-run', '--json', '--ignore-scripts'];
    const output = execFileSync('npm', command, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const [{ files }] = JSON.parse(output) as [{ files: { path: string }[] }];
    packed = files.map(({ path }) => path);
  });

  it('holds all pages, each at its place', () => {
    expect(packed.filter((path) => path.endsWith('.md')).toSorted()).toEqual([...PAGES, 'CHANGELOG.md'].toSorted());
  });

  it('holds every file of the starters, and nothing that they make', () => {
    const files = ['ls-files', '--cached', '--others', '--exclude-standard', 'sample/starters'];
    const there = execFileSync('git', files, { cwd: root, encoding: 'utf8' }).trim().split('\n');
    const ofStarters = packed.filter((file) => file.startsWith('sample/'));
    expect(ofStarters.toSorted()).toEqual(there.filter((file) => !/starters\/[^/]+\.spec\.ts$/.test(file)).toSorted());
  });
});
