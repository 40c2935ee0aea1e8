import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const read = (file: string) => readFileSync(join(root, file), 'utf8');

/** The entries of the package beside its index: the folders of `lib/`, less the core. */
export const ENTRIES = readdirSync(join(root, 'lib'), { withFileTypes: true })
  .filter((found) => found.isDirectory() && found.name !== 'core')
  .map(({ name }) => name);

/** The README of an entry. */
export const readmeOf = (entry: string) => `lib/${entry}/README.md`;

/** Every README of the package. */
export const READMES = ['README.md', ...ENTRIES.map(readmeOf).filter((file) => existsSync(join(root, file)))];

/** A block of TypeScript in a README. */
export interface Block {
  /** Which README shows it. */
  readonly readme: string;
  /** The file that its first line names; `undefined` if that names none. */
  readonly name: string | undefined;
  readonly source: string;
  /** Whether it is a file of another application than the rest, which it would change. */
  readonly isAlone: boolean;
}

/** The `ts` blocks of all READMEs: files of one project, but for those that are alone. */
export const BLOCKS: readonly Block[] = READMES.flatMap((readme) =>
  [...read(readme).matchAll(/```ts\n([\s\S]*?)```/g)].map(([, source]) => ({
    readme,
    name: /^\/\/ ([\w/.-]+\.ts)/.exec(source)?.[1],
    source,
    isAlone: source.startsWith("// another application's "),
  })),
);

/** A link to something in this repository. */
export interface Link {
  /** As it is written. */
  readonly target: string;
  /** From the root. */
  readonly file: string;
  readonly anchor: string | undefined;
}

const proseOf = (readme: string) => read(readme).replaceAll(/^```[\s\S]*?^```/gm, '');

/** The links and images of a README, except for those to other sites. */
export const linksOf = (readme: string): Link[] =>
  [...proseOf(readme).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target)
    .filter((target) => !/^\w+:/.test(target))
    .map((target) => {
      const [path, anchor] = target.split('#');
      return { target, file: path ? normalize(join(dirname(readme), path)) : readme, anchor };
    });

/** What the headings of a README can be linked to by, as GitHub makes it of their text. */
export function anchorsOf(readme: string): string[] {
  const seen = new Map<string, number>();
  return [...proseOf(readme).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => {
    const text = heading.replaceAll(/\[(.*?)\]\(.*?\)/g, '$1').toLowerCase();
    const anchor = text.replaceAll(/[^\p{L}\p{N}_ -]/gu, '').replaceAll(' ', '-');
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
}
