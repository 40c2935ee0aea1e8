// The specs that are slow, and that rarely break: `npm run check` runs them, and `npm test` does not.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const config = JSON.parse(readFileSync(new URL('../jest.config.json', import.meta.url), 'utf8'));

export default {
  ...config,
  rootDir: fileURLToPath(new URL('..', import.meta.url)),
  globalSetup: '<rootDir>/test/support/pglite-template.mjs',
  testMatch: ['**/*.slow.spec.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/test/generated/', '/sample/starters/'],
};
