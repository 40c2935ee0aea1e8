// The specs of what depends on Nest's inside, on Nest 11: whoever asks for a package of Nest, a package in node_modules
// included, gets the one of test/nest-11/.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const config = JSON.parse(readFileSync(new URL('../jest.config.json', import.meta.url), 'utf8'));

export default {
  ...config,
  rootDir: fileURLToPath(new URL('..', import.meta.url)),
  roots: ['nest', 'callbacks', 'runs', 'app', 'cls'].map((room) => `<rootDir>/test/${room}`),
  // A spec that starts a process of its own would start it on the other Nest, unless it says otherwise.
  testPathIgnorePatterns: [
    ...config.testPathIgnorePatterns,
    '/test/runs/memory\\.spec\\.ts$',
    '/test/cls/transactional\\.spec\\.ts$',
  ],
  moduleNameMapper: {
    ...config.moduleNameMapper,
    '^@nestjs/(common|core|microservices|platform-express|platform-fastify|terminus|testing)(/.*)?$':
      '<rootDir>/test/nest-11/node_modules/@nestjs/$1$2',
  },
  globals: { nestMajor: 11 },
};
