/** The specs that the READMEs show are run, as they stand, among the other files that they show. */
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { BLOCKS, read, root } from '../support/readmes.js';

const folder = join(root, 'test', 'generated', 'readme');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('Every spec in a README passes', async () => {
  for (const { name, source } of BLOCKS) {
    if (!name?.startsWith('src/')) continue;
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
  expect(testResults.length).toBe(BLOCKS.filter(({ name }) => name?.endsWith('.spec.ts')).length);
  expect(testResults.length).toBeGreaterThanOrEqual(6);
  expect(numPassedTests).toBeGreaterThan(30);
}, 120_000);
