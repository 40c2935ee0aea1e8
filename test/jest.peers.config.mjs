// The contract of engines, and what the engines promise beside it, on the oldest and on the newest peers of our ranges: whoever
// asks for one of those, a package in node_modules included, gets the one of test/peers/.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const read = (file) => JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8'));
const { maxWorkers, testTimeout, ...config } = read('../jest.config.json');

const project = (age) => {
  const peers = Object.keys(read(`peers/${age}/package.json`).dependencies);
  return {
    ...config,
    displayName: `${age} peers`,
    rootDir: fileURLToPath(new URL('..', import.meta.url)),
    testMatch: [
      '**/test/peers/*.spec.ts',
      '**/test/testing/{engine-contract.spec,pglite-contract.slow.spec}.ts',
      '**/test/redis/{outages,cluster}.spec.ts',
      '**/test/postgres/{pool,parsers}.spec.ts',
    ],
    testPathIgnorePatterns: ['/node_modules/', '/test/generated/'],
    moduleNameMapper: {
      ...config.moduleNameMapper,
      [`^(${peers.join('|')})(/.*)?$`]: `<rootDir>/test/peers/${age}/node_modules/$1$2`,
    },
    globals: { peers: age },
  };
};

export default { maxWorkers, testTimeout, projects: [project('oldest'), project('newest')] };
