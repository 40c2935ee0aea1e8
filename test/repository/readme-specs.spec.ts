/** The specs that the README shows are run, as they stand, among the other files that it shows. */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from '@jest/globals';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'test', 'generated', 'readme');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('Every spec in the README passes', async () => {
  const blocks = [
    ...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/```ts\n(\/\/ (src\/[\w/.-]+)[\s\S]*?)```/g),
  ];
  for (const [, source, name] of blocks) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), source);
  }
  const config = JSON.parse(readFileSync(join(root, 'jest.config.json'), 'utf8')) as object;
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
  expect(testResults.length).toBeGreaterThanOrEqual(6);
  expect(numPassedTests).toBeGreaterThan(30);
}, 120_000);
