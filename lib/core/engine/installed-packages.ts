import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { ownFile } from '../copies/own-file.js';

/** The part of a `package.json` that is read here. */
interface Manifest {
  readonly name?: string;
  readonly version?: string;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** Whether a package is missing where this one looks for it; `false`, too, where nobody can tell, as in a bundle. */
export function isMissing(name: string): boolean {
  if (!own()) return false;
  try {
    createRequire(own()!.file).resolve(name);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND';
  }
}

/** The version of a peer that is installed, and those that this package wants, if that is not among them. */
export function wrongVersion(name: string): { readonly found: string; readonly wanted: string } | undefined {
  const wanted = rangeOf(name);
  const found = wanted === undefined ? undefined : manifestOf(name)?.version;
  return wanted === undefined || found === undefined || fits(found, wanted) ? undefined : { found, wanted };
}

/** A package with the oldest major version that this one wants, as `npm install` takes it: `pg-boss@12`. */
export function withVersion(name: string): string {
  const [major, minor] = numbersOf(rangeOf(name) ?? '');
  if (major === undefined) return name;
  return `${name}@${major === 0 ? `0.${minor}` : major}`;
}

/** The versions of a peer that this package wants. */
const rangeOf = (name: string) => own()?.manifest.peerDependencies?.[name];

let known: { readonly file: string; readonly manifest: Manifest } | false | undefined;

/** This package, where it lies by itself. A bundle has none, and says nothing of what is installed. */
function own() {
  if (known === undefined) {
    known = false;
    const file = ownFile();
    for (let at = file && dirname(file); file && at && at !== dirname(at); at = dirname(at)) {
      const manifest = read(join(at, 'package.json'));
      // That in dist/cjs says how to load it, and no more.
      if (manifest?.name === undefined) continue;
      if (manifest.name === 'nestjs-callbacks') known = { file, manifest };
      break;
    }
  }
  return known || undefined;
}

/** Packages need not export it. */
function manifestOf(name: string): Manifest | undefined {
  const folders = createRequire(own()!.file).resolve.paths(name) ?? [];
  for (const folder of folders) {
    const manifest = read(join(folder, name, 'package.json'));
    if (manifest) return manifest;
  }
  return undefined;
}

function read(file: string): Manifest | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Manifest;
  } catch {
    return undefined;
  }
}

const numbersOf = (version: string) => (/(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []).slice(1).map(Number);

/** Whether a version is in a range of the form `^1.2.0 || ^2.0.0`. Another form says nothing. */
function fits(version: string, range: string): boolean {
  const found = numbersOf(version);
  return range.split('||').some((part) => {
    const least = numbersOf(part);
    if (!part.trim().startsWith('^') || least.length + found.length < 6) return true;
    const fixed = least.findIndex((number) => number > 0) + 1;
    const different = found.findIndex((number, index) => number !== least[index]);
    return different === -1 || (different >= fixed && found[different] > least[different]);
  });
}
