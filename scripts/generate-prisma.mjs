// Makes the Prisma client that the specs use. Nothing of that needs Prisma's schema engine, which its command would download.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
execFileSync(
  process.execPath,
  ['node_modules/prisma/build/index.js', 'generate', '--schema', 'test/prisma/schema.prisma', '--no-hints'],
  {
    cwd: root,
    env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, PRISMA_HIDE_UPDATE_MESSAGE: '1' },
  },
);
