/** That the READMEs tell the truth: their tables are those of the code, and what they link to is there. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { EVENTS_ERROR_CODES } from 'nestjs-callbacks';
import { anchorsOf, BLOCKS, ENTRIES, linksOf, read, readmeOf, READMES, root } from '../support/readmes.js';

const filesOf = (folder: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !/(^|\/)(generated|node_modules)\//.test(file))
    .map((file) => join(folder, file));

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

  it('shows a recipe as it is tested, and links to all', () => {
    const recipes = filesOf('test/recipes');
    expect(recipes.filter((file) => !readme.includes(`](${file})`))).toEqual([]);
    expect(readme).toContain(`\n// src/recipes/typeorm.ts\n${read('test/recipes/typeorm.ts')}\``);
  });

  it('lists every entry of the package, with a link to its README', () => {
    const section = /\n## Entries\n([\s\S]*?)\n## /.exec(readme)![1];
    const listed = [...section.matchAll(/^\| `nestjs-callbacks\/([\w-]+)`.*\]\((.*?)\) *\|$/gm)];
    expect(listed.map(([, entry, link]) => [entry, link]).toSorted()).toEqual(
      ENTRIES.map((entry) => [entry, readmeOf(entry)]).toSorted(),
    );
  });
});

describe('The README of an entry', () => {
  it.each(ENTRIES)('says first which entry it is of: %s', (entry) => {
    expect(read(readmeOf(entry))).toMatch(new RegExp(`^# nestjs-callbacks/${entry}\n\n\\w`));
  });

  it('is packed', () => {
    const { files } = JSON.parse(read('package.json')) as { files: string[] };
    expect(files).toContain('lib/*/README.md');
  });

  it('links only to READMEs, as nothing else that it could link to is packed', () => {
    const links = ENTRIES.map(readmeOf).flatMap(linksOf);
    expect(links.filter(({ file }) => !READMES.includes(file))).toEqual([]);
  });
});

describe('A README', () => {
  it.each(READMES)('links to what is there: %s', (readme) => {
    const isThere = ({ file, anchor }: ReturnType<typeof linksOf>[number]) =>
      existsSync(join(root, file)) && (anchor === undefined || anchorsOf(file).includes(anchor));
    const links = linksOf(readme);
    expect(links.length).toBeGreaterThan(readme === 'README.md' ? 20 : -1);
    expect(links.filter((link) => !isThere(link))).toEqual([]);
  });

  it('has ts blocks that name a file in their first line, each another one', () => {
    const together = BLOCKS.filter(({ isAlone }) => !isAlone);
    expect(together.filter(({ name }) => name === undefined)).toEqual([]);
    const names = together.map(({ name }) => name);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  it.each([
    ['core/options/events.options.ts', 'README.md'],
    ['core/options/callback.options.ts', 'README.md'],
    ['core/options/durable.options.ts', 'README.md'],
    ['postgres/options.ts', readmeOf('postgres')],
    ['redis/options.ts', readmeOf('redis')],
    ['testing/test-kit.ts', readmeOf('testing')],
  ])('lists the options of %s with the defaults that their docstrings name: %s', (file, readme) => {
    const normal = (text: string) => text.replaceAll(/[`']/g, '').trim();
    const documented = [...read(`lib/${file}`).matchAll(/@default (.+)\n\s+\*\/\n\s+(?:readonly )?(\w+)\?:/g)];
    expect(documented.length).toBeGreaterThanOrEqual(3);
    for (const [, value, option] of documented) {
      const rows = [...read(readme).matchAll(new RegExp(`^\\| \`(?:\\w+\\.)?${option}\`.*\\| (.+?) *\\|$`, 'gm'))];
      const defaults = rows.map(([, found]) => normal(found));
      const expected = option === 'id' ? 'Class.method' : normal(value);
      expect([option, defaults]).toEqual([option, expect.arrayContaining([expected])]);
    }
  });
});
