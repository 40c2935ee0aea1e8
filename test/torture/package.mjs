// The build that an instance runs: that of this checkout, or another, as it was packed.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** In a folder from which the packages of this checkout are found, as those of an application are. */
const UNPACKED = join(ROOT, 'node_modules/.cache/nestjs-callbacks');

/** Imports one of its entries, as `''` or `postgres`, from the folder that PACKAGE names. */
export function importEntry(entry) {
  const file = join(process.env.PACKAGE || ROOT, 'dist', entry, 'index.js');
  return import(pathToFileURL(file).href);
}

/**
 * The folder of a build.
 *
 * @param from a tarball that `npm pack` has made, or a checkout that is built
 */
export function unpack(from) {
  const path = resolve(from);
  if (!path.endsWith('.tgz')) return path;
  const { size, mtimeMs } = statSync(path);
  const folder = join(UNPACKED, `${basename(path, '.tgz')}-${size}-${Math.round(mtimeMs)}`);
  if (existsSync(folder)) return folder;
  mkdirSync(UNPACKED, { recursive: true });
  // Somebody else may do the same just now.
  const own = mkdtempSync(join(UNPACKED, 'unpacking-'));
  execFileSync('tar', ['xzf', path, '-C', own]);
  try {
    renameSync(join(own, 'package'), folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  }
  rmSync(own, { recursive: true, force: true });
  return folder;
}
