/** That what the manual shows compiles at every step, and that its pages are in the package. */
import { execFileSync } from 'node:child_process';
import { expect, it } from '@jest/globals';
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

it('All pages are packed, each at its place', () => {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [{ files }] = JSON.parse(output) as [{ files: { path: string }[] }];
  const packed = files.map(({ path }) => path).filter((path) => path.endsWith('.md'));
  expect(packed.toSorted()).toEqual([...PAGES, 'CHANGELOG.md'].toSorted());
});
