/** That the manual tells the truth: its tables are those of the code, what it links to is packed, and its terms are explained. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { EVENTS_ERROR_CODES } from 'nestjs-callbacks';
import {
  anchorsOf,
  BLOCKS,
  ENTRIES,
  linksOf,
  PAGES,
  projectsOf,
  proseOf,
  read,
  readmeOf,
  REFERENCE,
  root,
  STARTERS,
} from '../support/manual.js';

const filesOf = (folder: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !/(^|\/)(generated|node_modules)\//.test(file))
    .map((file) => join(folder, file));

describe('The first page', () => {
  it('has 400 lines at most', () => {
    expect(read('README.md').split('\n').length - 1).toBeLessThanOrEqual(400);
  });

  it('builds the smallest starter, line by line', () => {
    const starter = 'sample/starters/drizzle-vitest';
    const project = projectsOf(BLOCKS.filter(({ page }) => page === 'README.md')).at(-1)!;
    const shown = [...project].map(([name, source]) => [name, source.slice(source.indexOf('\n') + 1)]);
    expect(shown.length).toBeGreaterThanOrEqual(6);
    expect(shown).toEqual(shown.map(([name]) => [name, read(`${starter}/${name}`)]));
    const others = filesOf(`${starter}/src`).filter((file) => !project.has(file.slice(starter.length + 1)));
    expect(others).toEqual([`${starter}/src/main.ts`]);
  });

  it('lists every entry of the package, with a link to its README', () => {
    const section = /\n## Entries\n([\s\S]*?)\n## /.exec(read('README.md'))![1];
    const listed = [...section.matchAll(/^\| `nestjs-callbacks\/([\w-]+)`.*\]\((.*?)\) *\|$/gm)];
    expect(listed.map(([, entry, link]) => [entry, link]).toSorted()).toEqual(
      ENTRIES.map((entry) => [entry, readmeOf(entry)]).toSorted(),
    );
  });
});

describe('The reference', () => {
  it('lists every error code, in the order of the code, and no other', () => {
    const listed = [...read(REFERENCE).matchAll(/^\| `(EVENTS_\w+)`/gm)].map(([, code]) => code);
    expect(listed).toEqual([...EVENTS_ERROR_CODES]);
  });

  it('lists codes of which each has a spec', () => {
    const specs = filesOf('test').map(read).join('\n');
    expect(EVENTS_ERROR_CODES.filter((code) => !specs.includes(`'${code}'`))).toEqual([]);
  });
});

it('The page on transactions shows every recipe as it is tested', () => {
  const page = read('lib/transactions.md');
  const recipes = readdirSync(join(root, 'test/recipes'));
  expect(recipes.length).toBeGreaterThanOrEqual(8);
  const isShown = (file: string) => page.includes(`\n// src/recipes/${file}\n${read(`test/recipes/${file}`)}\``);
  expect(recipes.filter((file) => !isShown(file))).toEqual([]);
});

describe('The README of an entry', () => {
  const FORM = ['Smallest example', 'How to', 'Options', 'What goes wrong'];

  it.each(ENTRIES)('has the form of all: %s', (entry) => {
    const page = read(readmeOf(entry));
    expect(page).toMatch(new RegExp(`^# nestjs-callbacks/${entry}\n\n\\w`));
    const headings = [...page.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
    expect(headings.filter((heading) => FORM.includes(heading))).toEqual(FORM);
    expect(headings[0]).toBe(FORM[0]);
  });

  it.each([
    ['core/options/events.options.ts', REFERENCE],
    ['core/options/callback.options.ts', REFERENCE],
    ['core/options/durable.options.ts', REFERENCE],
    ['postgres/options.ts', readmeOf('postgres')],
    ['redis/options.ts', readmeOf('redis')],
    ['testing/test-kit.ts', readmeOf('testing')],
  ])('lists the options of %s with the defaults that their docstrings name: %s', (file, page) => {
    const normal = (text: string) => text.replaceAll(/[`']/g, '').trim();
    const documented = [...read(`lib/${file}`).matchAll(/@default (.+)\n\s+\*\/\n\s+(?:readonly )?(\w+)\?:/g)];
    expect(documented.length).toBeGreaterThanOrEqual(3);
    for (const [, value, option] of documented) {
      const rows = [...read(page).matchAll(new RegExp(`^\\| \`(?:\\w+\\.)?${option}\`.*\\| (.+?) *\\|$`, 'gm'))];
      const defaults = rows.map(([, found]) => normal(found));
      const expected = option === 'id' ? 'Class.method' : normal(value);
      expect([option, defaults]).toEqual([option, expect.arrayContaining([expected])]);
    }
  });
});

describe('A page', () => {
  const ALSO_PACKED = ['CHANGELOG.md', 'LICENSE', ...STARTERS];

  it.each([...PAGES, 'CHANGELOG.md'])('links to what is packed, and there: %s', (page) => {
    const isThere = ({ file, anchor }: ReturnType<typeof linksOf>[number]) =>
      [...PAGES, ...ALSO_PACKED].includes(file) &&
      existsSync(join(root, file)) &&
      (anchor === undefined || anchorsOf(file).includes(anchor));
    const links = linksOf(page);
    expect(links.length).toBeGreaterThan(page === 'README.md' ? 20 : -1);
    expect(links.filter((link) => !isThere(link))).toEqual([]);
  });

  it('can be reached from the first', () => {
    const reached = new Set(['README.md']);
    for (const page of reached) for (const { file } of linksOf(page)) if (PAGES.includes(file)) reached.add(file);
    expect([...reached].toSorted()).toEqual(PAGES.toSorted());
  });

  it('shows files by blocks that name them in their first line; each file is shown on one page', () => {
    expect(BLOCKS.filter(({ name }) => name === undefined)).toEqual([]);
    const onPages = (shown: string) => [
      ...new Set(BLOCKS.filter(({ name }) => name === shown).map(({ page }) => page)),
    ];
    expect(BLOCKS.filter(({ name }) => onPages(name!).length > 1)).toEqual([]);
  });
});

describe('A term of the glossary', () => {
  const glossary = /\n## Glossary\n[\s\S]*?\n## /.exec(read(REFERENCE))![0];
  /** By which words a term is used, where they differ from it and its plural. */
  const WORDS: Record<string, string> = {
    run: '(?<=\\b(?:an?|the|each|every|this|one|such|of)\\s+\\[?)runs?',
    delivery: 'deliver(?:y|ies)',
    header: '(?<!HTTP )headers?',
  };
  const TERMS = [...glossary.matchAll(/^### (\w+)$/gm)].map(([, term]) => term.toLowerCase());

  it('is one of these', () => {
    const asked = ['run', 'callback', 'delivery', 'attempt', 'claim', 'dead', 'engine', 'key', 'header'];
    expect(TERMS).toEqual([...asked, 'instance']);
  });

  it.each(PAGES.flatMap((page) => TERMS.map((term) => [page, term])))(
    'is linked where %s first uses it: %s',
    (page, term) => {
      const text = (page === REFERENCE ? proseOf(page).replace(glossary, '') : proseOf(page))
        .replaceAll(/`[^`\n]*`/g, '`')
        .replace(/^\[Glossary\][^]*?\n\n/m, '')
        .replaceAll(/^#.*$/gm, '')
        .replaceAll(/\[([^\]]*)\]\([^)]*#(\w+)\)/g, '[$1]<$2>')
        .replaceAll(/\]\([^)]*\)/g, ']');
      const used = new RegExp(`\\b(?:${WORDS[term] ?? `${term}s?`})\\b([^[\\]\n]*\\]<\\w+>)?`, 'i').exec(text);
      if (used) expect(used[0]).toMatch(new RegExp(`<${term}>$`));
    },
  );
});
