import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import makeTemplate, { template } from './pglite-template.mjs';

/**
 * Makes a folder with an empty database for PGlite to open, by copying one that was made before the specs began.
 *
 * @param folder that does not exist yet
 */
export async function makePGliteFolder(folder = join(mkdtempSync(join(tmpdir(), 'pglite-')), 'data')): Promise<string> {
  await makeTemplate();
  cpSync(template, folder, { recursive: true });
  return folder;
}

/** Opens an empty database, which is gone when it is closed. */
export async function openPGlite(): Promise<PGlite> {
  const folder = await makePGliteFolder();
  const pglite = await PGlite.create(folder);
  const close = pglite.close.bind(pglite);
  pglite.close = async () => {
    await close();
    rmSync(join(folder, '..'), { recursive: true });
  };
  return pglite;
}
