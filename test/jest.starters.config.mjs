// The starters, one after another and with nothing beside them: each writes some hundred packages to the disk, and what else waits for
// the disk then waits for long.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const config = JSON.parse(readFileSync(new URL('../jest.config.json', import.meta.url), 'utf8'));

export default {
  ...config,
  rootDir: fileURLToPath(new URL('..', import.meta.url)),
  testMatch: ['**/sample/starters/*.spec.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
};
