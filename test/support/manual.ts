import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const read = (file: string) => readFileSync(join(root, file), 'utf8');
const namesIn = (folder: string) => readdirSync(join(root, folder), { withFileTypes: true });

/** The entries of the package beside its index: the folders of `lib/`, less the core. */
export const ENTRIES = namesIn('lib')
  .filter((found) => found.isDirectory() && found.name !== 'core')
  .map(({ name }) => name);

/** The folders of the starters. */
export const STARTERS = namesIn('sample/starters')
  .filter((found) => found.isDirectory())
  .map(({ name }) => `sample/starters/${name}`);

/** The README of an entry. */
export const readmeOf = (entry: string) => `lib/${entry}/README.md`;

/** Where the terms are explained. */
export const REFERENCE = 'lib/README.md';

/** The pages of the manual, in the order in which one would read them. All of them are packed. */
export const PAGES = [
  'README.md',
  REFERENCE,
  ...namesIn('lib')
    .map(({ name }) => `lib/${name}`)
    .filter((file) => file.endsWith('.md') && file !== REFERENCE),
  ...ENTRIES.map(readmeOf),
  'sample/starters/README.md',
];

/** The source of each file of a project, by its path. */
export type Project = ReadonlyMap<string, string>;

/** What a page shows of a file: its text, or what changes in it. */
interface Block {
  readonly page: string;
  readonly isChange: boolean;
  /** The file that its first line names; `undefined` if that names none. */
  readonly name: string | undefined;
  readonly source: string;
}

const blocksOf = (page: string): Block[] =>
  [...read(page).matchAll(/^```(ts|diff)\n([\s\S]*?)^```/gm)].map(([, language, source]) => ({
    page,
    isChange: language === 'diff',
    name: /^ ?\/\/ ([\w/.-]+\.ts)/.exec(source)?.[1],
    source,
  }));

const isAlone = ({ source }: Block) => source.startsWith("// another application's ");
const ALL_BLOCKS = PAGES.flatMap(blocksOf);

/** The blocks of other applications, which would change that of the reader. */
export const ALONE: readonly string[] = ALL_BLOCKS.filter(isAlone).map(({ source }) => source);

/** The blocks of the reader's application. */
export const BLOCKS: readonly Block[] = ALL_BLOCKS.filter((block) => !isAlone(block));

/**
 * The projects of a reader who writes down what the pages show, from the first line to the last: one each time before a file is
 * replaced or changed, and the last one.
 */
export function projectsOf(blocks: readonly Block[]): Project[] {
  const files = new Map<string, string>();
  const projects: Project[] = [];
  for (const { page, name, source, isChange } of blocks) {
    if (name === undefined) throw new Error(`A block of ${page} names no file:\n${source}`);
    const before = files.get(name);
    if (before !== undefined) projects.push(new Map(files));
    files.set(name, isChange ? changed(before ?? '', source, `${page}, ${name}`) : source);
  }
  return [...projects, files];
}

/** Applies what a `diff` block says: its parts, between lines of `…`, follow each other in the file. */
function changed(text: string, change: string, where: string): string {
  const parts = change
    .split(/^ ?\/\/ .*\n/)[1]
    .split(/^ …\n/m)
    .map((part) => part.replace(/\n$/, '').split('\n'));
  let at = 0;
  for (const part of parts) {
    const linesBut = (sign: string) =>
      part.filter((line) => !line.startsWith(sign)).map((line) => `${line.slice(1)}\n`);
    const [found, wanted] = [linesBut('+').join(''), linesBut('-').join('')];
    const start = `\n${text}`.indexOf(`\n${found}`, at);
    if (start < 0) throw new Error(`${where} has no lines\n${found}`);
    text = text.slice(0, start) + wanted + text.slice(start + found.length);
    at = start + wanted.length;
  }
  return text;
}

/** A link to something in this repository. */
export interface Link {
  /** As it is written. */
  readonly target: string;
  /** From the root. */
  readonly file: string;
  readonly anchor: string | undefined;
}

/** The text of a page without what is code. */
export const proseOf = (page: string) => read(page).replaceAll(/^```[\s\S]*?^```/gm, '');

/** The links and images of a page, except for those to other sites. */
export const linksOf = (page: string): Link[] =>
  [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target)
    .filter((target) => !/^\w+:/.test(target))
    .map((target) => {
      const [path, anchor] = target.split('#');
      return { target, file: path ? normalize(join(dirname(page), path)) : page, anchor };
    });

/** What the headings of a page can be linked to by, as GitHub makes it of their text. */
export function anchorsOf(page: string): string[] {
  const seen = new Map<string, number>();
  return [...proseOf(page).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => {
    const text = heading.replaceAll(/\[(.*?)\]\(.*?\)/g, '$1').toLowerCase();
    const anchor = text.replaceAll(/[^\p{L}\p{N}_ -]/gu, '').replaceAll(' ', '-');
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
}
