// Declares what the ES modules and the CommonJS build have in common once, so that to a compiler they are one thing: the
// events that a CommonJS library adds to EventMap are known in an ES module, and an EventRunner of one is one of the other.
// A declaration of the ES modules becomes a re-export of its twin. Those that reach Nest's types stay two, because Nest 12
// is ES modules only, and older compilers let no CommonJS declaration import those.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const [built = 'dist'] = process.argv.slice(2);
const modules = resolve(dirname(dirname(fileURLToPath(import.meta.url))), built);
const commonjs = join(modules, 'cjs');

const IMPORT =
  /^(?:import|export)\b.* from '([^']+)'|^import '([^']+)'|^declare module '([^']+)'|\bimport\(["']([^"']+)["']\)/gm;

/** What a declaration imports, or adds to. */
const specifiers = (file) =>
  [...readFileSync(file, 'utf8').matchAll(IMPORT)].map((match) => match.slice(1).find(Boolean));

/** Adds all that a declaration reaches in this package to `files`, and the packages that they name to `packages`. */
function follow(file, files, packages) {
  if (files.has(file)) return packages;
  files.add(file);
  for (const specifier of specifiers(file)) {
    if (specifier.startsWith('.')) follow(join(dirname(file), specifier.replace(/\.js$/, '.d.ts')), files, packages);
    else packages.add(specifier);
  }
  return packages;
}

/** Whether a declaration stays what it is when it is read as CommonJS, with all that it reaches. */
const isSharable = (file) =>
  [...follow(file, new Set(), new Set())].every((name) => name.startsWith('node:') || name === '@standard-schema/spec');

const twins = readdirSync(commonjs, { recursive: true }).filter((name) => name.endsWith('.d.ts'));
const shared = twins.filter((name) => isSharable(join(commonjs, name)));
for (const name of shared) {
  const file = join(modules, name);
  const twin = relative(dirname(file), join(commonjs, name))
    .replaceAll('\\', '/')
    .replace(/\.d\.ts$/, '.js');
  writeFileSync(file, `export * from '${twin}';\n`);
}
if (
  !shared.includes(join('core', 'events', 'event-map.d.ts')) ||
  !shared.includes(join('core', 'runs', 'event-runner.d.ts'))
)
  throw new Error('EventMap and EventRunner are to be declared once, and now reach what cannot be shared.');

// A bundler lets an optional package be absent whose import stands in a try. That is an import() of the ES modules. Of the
// CommonJS build it is the require() that the compiler makes of it, once that stands in no function of its own.
for (const name of readdirSync(commonjs, { recursive: true }).filter((file) => file.endsWith('.js'))) {
  const source = readFileSync(join(commonjs, name), 'utf8');
  const mended = source.replace(
    /Promise\.resolve\(\)\.then\(\(\) => ((?:__importStar\()?require\('[^']+'\)\)?)\)/g,
    '$1',
  );
  if (mended !== source) writeFileSync(join(commonjs, name), mended);
}
