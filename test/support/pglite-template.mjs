// Makes an empty database for PGlite, once for all specs, before the first begins: that costs seconds of computing.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packages = fileURLToPath(new URL('../../node_modules', import.meta.url));
// Of the version that the specs open it with.
const manifest = new URL('../package.json', import.meta.resolve('@electric-sql/pglite'));
const { version } = JSON.parse(readFileSync(manifest, 'utf8'));

/** The folder of the database. */
export const template = join(packages, '.cache', `nestjs-callbacks-pglite-${version}`);

export default async function makeTemplate() {
  if (existsSync(template)) return;
  const { PGlite } = await import('@electric-sql/pglite');
  mkdirSync(join(packages, '.cache'), { recursive: true });
  const making = mkdtempSync(`${template}-`);
  await (await PGlite.create(making)).close();
  try {
    renameSync(making, template);
  } catch (error) {
    // Another run of specs was faster.
    rmSync(making, { recursive: true });
    if (!existsSync(template)) throw error;
  }
}
