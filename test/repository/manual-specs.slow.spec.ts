/** The specs that the manual shows are run, as they stand, among the other files that it shows. */
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { BLOCKS, projectsOf, read, root } from '../support/manual.js';

const folder = join(root, 'test', 'generated', 'manual');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Those of the first page are a starter's, which are run in it, by Vitest. */
const isOurs = (source: string) => !/^import .* from 'vitest';$/m.test(source);

it('Every spec in the manual passes', async () => {
  const shown = [...projectsOf(BLOCKS).at(-1)!].filter(([, source]) => isOurs(source));
  for (const [name, source] of shown) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), source);
  }
  const config = JSON.parse(read('jest.config.json')) as object;
  const own = { ...config, rootDir: root, roots: [folder], testPathIgnorePatterns: ['/node_modules/'] };
  const output = await new Promise<string>((resolve) =>
    execFile(
      process.execPath,
      [
        '--experimental-vm-modules',
        join(root, 'node_modules/jest/bin/jest.js'),
        '--json',
        '--config',
        JSON.stringify(own),
      ],
      { cwd: root, maxBuffer: 2 ** 26, env: { ...process.env, NODE_OPTIONS: '' } },
      (_error, stdout) => resolve(stdout),
    ),
  );
  interface Results {
    numPassedTests: number;
    testResults: { name: string; status: string; message: string }[];
  }
  const { numPassedTests, testResults } = JSON.parse(output.slice(output.indexOf('{"'))) as Results;
  expect(testResults.filter(({ status }) => status !== 'passed').map(({ message }) => message)).toEqual([]);
  expect(testResults.length).toBe(shown.filter(([name]) => name.endsWith('.spec.ts')).length);
  expect(testResults.length).toBeGreaterThanOrEqual(6);
  expect(numPassedTests).toBeGreaterThan(30);
}, 120_000);
