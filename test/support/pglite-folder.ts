import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PGlite } from '@electric-sql/pglite';

const packages = fileURLToPath(new URL('../../node_modules', import.meta.url));
const { version } = JSON.parse(readFileSync(join(packages, '@electric-sql/pglite/package.json'), 'utf8'));
const template = join(packages, '.cache', `nestjs-callbacks-pglite-${version}`);

/**
 * Makes a folder with an empty database for PGlite to open, by copying one: creating a database takes seconds of
 * computing, which all specs together pay once.
 *
 * @param folder that does not exist yet
 */
export async function makePGliteFolder(folder = join(mkdtempSync(join(tmpdir(), 'pglite-')), 'data')): Promise<string> {
  if (!existsSync(template)) await makeTemplate();
  cpSync(template, folder, { recursive: true });
  return folder;
}

async function makeTemplate(): Promise<void> {
  mkdirSync(join(packages, '.cache'), { recursive: true });
  const making = mkdtempSync(`${template}-`);
  await (await PGlite.create(making)).close();
  try {
    renameSync(making, template);
  } catch (error) {
    // Another worker was faster.
    rmSync(making, { recursive: true });
    if (!existsSync(template)) throw error;
  }
}
