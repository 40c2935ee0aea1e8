/** That the README tells the truth: its tables are those of the code, and what it shows compiles. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { EVENTS_ERROR_CODES } from 'nestjs-callbacks';
import { compile } from '../support/compile.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const filesOf = (folder: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
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

  it('lists the options of EventsModule and of @Callback() with the defaults that their docstrings name', () => {
    const normal = (text: string) => text.replaceAll(/[`']/g, '').trim();
    const files = [
      'core/options/events.options.ts',
      'core/options/callback.options.ts',
      'core/options/durable.options.ts',
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
