/** What holds the repository together: who may import whom, and that the README tells the truth. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { EVENTS_ERROR_CODES } from 'nestjs-callbacks';
import ts from 'typescript';
import { compile } from './compile.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const filesOf = (folder: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, file));

interface Import {
  readonly from: string;
  readonly to: string;
}

/** All imports of the library; those of its own files as paths. */
const imports: Import[] = filesOf('lib').flatMap((from) =>
  ts.preProcessFile(read(from)).importedFiles.map(({ fileName }) => ({
    from,
    to: fileName.startsWith('.') ? normalize(join(dirname(from), fileName.replace(/\.js$/, '.ts'))) : fileName,
  })),
);
const isOwn = ({ to }: Import) => to.startsWith('lib/');
const isCore = (file: string) => dirname(file) === 'lib';

describe('The library', () => {
  it('has a core that imports neither index.ts nor a folder, and folders that import the core through index.ts only', () => {
    const wrong = imports.filter(isOwn).filter(({ from, to }) => {
      if (isCore(from)) return to === 'lib/index.ts' || !isCore(to);
      // A folder within a folder takes that as a third party would, in turn.
      return dirname(to) !== dirname(from) && to !== join(dirname(dirname(from)), 'index.ts');
    });
    expect(wrong).toEqual([]);
  });

  it('has no circles among files that are more than types to each other', () => {
    const values = new Map(filesOf('lib').map((file) => [file, [] as string[]]));
    for (const file of filesOf('lib')) {
      ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest).forEachChild((node) => {
        if (!ts.isImportDeclaration(node) || node.importClause?.isTypeOnly) return;
        const names = node.importClause?.namedBindings;
        if (names && ts.isNamedImports(names) && names.elements.every(({ isTypeOnly }) => isTypeOnly)) return;
        const target = (node.moduleSpecifier as ts.StringLiteral).text;
        if (target.startsWith('.'))
          values.get(file)!.push(normalize(join(dirname(file), target.replace(/\.js$/, '.ts'))));
      });
    }
    const circleFrom = (file: string, path: string[]): string[] | undefined =>
      path.includes(file)
        ? [...path, file]
        : values
            .get(file)!
            .reduce<string[] | undefined>((found, next) => found ?? circleFrom(next, [...path, file]), undefined);
    for (const file of values.keys()) expect(circleFrom(file, [])).toBeUndefined();
  });

  it('imports only what package.json says, optional peers in their own folder, and Nest by paths that end in .js', () => {
    const { dependencies, peerDependencies, peerDependenciesMeta } = JSON.parse(read('package.json'));
    const optional: Record<string, string[]> = {
      'lib/postgres': ['pg', 'pg-boss', '@electric-sql/pglite'],
      // Where the types of its matchers are, which the first hands out.
      'lib/testing/jest': ['@jest/globals', 'expect'],
      'lib/testing/vitest': ['vitest'],
      'lib/redis': ['bullmq', 'ioredis'],
      'lib/transactional': ['@nestjs-cls/transactional'],
    };
    const always = Object.keys({ ...dependencies, ...peerDependencies }).filter((name) => !peerDependenciesMeta[name]);
    for (const { from, to } of imports.filter((one) => !isOwn(one) && !one.to.startsWith('node:'))) {
      const known = [...always, ...(optional[dirname(from)] ?? [])];
      const name = to
        .split('/')
        .slice(0, to.startsWith('@') ? 2 : 1)
        .join('/');
      expect(known).toContain(name);
      if (name !== to) expect(to).toMatch(/\.js$/);
    }
  });

  it('takes its timers from one file, which fake timers do not reach', () => {
    const importing = imports.filter(({ to }) => to.startsWith('node:timers')).map(({ from }) => from);
    expect(new Set(importing)).toEqual(new Set(['lib/timers.ts']));
  });

  it('has no export that its declarations lack, as others are made of it', () => {
    expect(filesOf('lib').filter((file) => /@internal[^/]*\*\/\s*export/.test(read(file)))).toEqual([]);
  });

  it('keeps every file small enough to hold one idea', () => {
    const long = filesOf('lib').filter((file) => read(file).split('\n').length > 250);
    expect(long).toEqual([]);
  });
});

describe('The README', () => {
  const readme = read('README.md');

  it('lists every error code, in the order of the code, and no other', () => {
    const listed = [...readme.matchAll(/^\| `(EVENTS_\w+)`/gm)].map(([, code]) => code);
    expect(listed).toEqual([...EVENTS_ERROR_CODES]);
  });

  it('lists codes of which each has a spec', () => {
    const specs = filesOf('test').map(read).join('\n');
    const untested = EVENTS_ERROR_CODES.filter((code) => !specs.includes(`'${code}'`));
    expect(untested).toEqual([]);
  });

  it('lists the options of EventsModule and of @Callback() with the defaults that their docstrings name', () => {
    const normal = (text: string) => text.replaceAll(/[`']/g, '').trim();
    const files = [
      'events.options.ts',
      'callback.options.ts',
      'durable.options.ts',
      'postgres/options.ts',
      'testing/test-kit.ts',
    ];
    for (const file of files.map((name) => `lib/${name}`)) {
      const documented = [...read(file).matchAll(/@default (.+)\n\s+\*\/\n\s+(?:readonly )?(\w+)\?:/g)];
      expect(documented.length).toBeGreaterThanOrEqual(3);
      for (const [, value, option] of documented) {
        const rows = [...readme.matchAll(new RegExp(`^\\| \`(?:\\w+\\.)?${option}\`.*\\| (.+?) *\\|$`, 'gm'))];
        const defaults = rows.map(([, found]) => normal(found));
        expect([option, defaults]).toEqual([
          option,
          expect.arrayContaining([option === 'id' ? 'Class.method' : normal(value)]),
        ]);
      }
    }
  });

  it('shows a recipe as it is tested, and links to all', () => {
    const recipes = filesOf('test/recipes');
    expect(recipes.filter((file) => !readme.includes(`](${file})`))).toEqual([]);
    expect(readme).toContain(`\n// src/recipes/typeorm.ts\n${read('test/recipes/typeorm.ts')}\``);
  });

  it('has only ts blocks that compile, as they stand, as files of one project', () => {
    const blocks = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, block]) => block);
    const names = blocks.map(
      (block) => /^\/\/ ([\w/.-]+\.ts)/.exec(block)?.[1] ?? 'a first line that names the file is missing',
    );
    expect(blocks.length).toBeGreaterThan(12);
    const messages = compile(blocks, names);
    expect(names.map((name, index) => [name, messages[index]])).toEqual(names.map((name) => [name, []]));
  });
});
