/** That a version is not published before it is ready, and what is said instead. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { read, root, STARTERS } from '../support/manual.js';

describe('A release', () => {
  const folder = mkdtempSync(join(tmpdir(), 'release-'));
  const manifest = JSON.parse(read('package.json')) as { version: string; scripts: object };
  const filled = { author: 'Ada', repository: 'r', homepage: 'h', bugs: 'b' };
  beforeAll(() => {
    for (const path of ['scripts/check-release.mjs', 'sample/starters'])
      cpSync(join(root, path), join(folder, path), { recursive: true });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  function check(change: object, changelog: string) {
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...manifest, ...change }));
    writeFileSync(join(folder, 'CHANGELOG.md'), changelog);
    const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/check-release.mjs'], {
      cwd: folder,
      encoding: 'utf8',
    });
    return { status, said: stdout + stderr };
  }

  it('is checked before it is published', () => {
    expect(manifest.scripts).toMatchObject({ prepublishOnly: 'node scripts/check-release.mjs' });
  });

  it('is refused as long as a field is missing, or the changelog or a starter does not know of it', () => {
    const nothing = { author: undefined, repository: undefined, homepage: undefined, bugs: undefined };
    const { status, said } = check({ ...nothing, version: '7.0.0' }, '## 7.0.0, unpublished\n');
    expect(status).toBe(1);
    const asked = read('sample/starters/prisma/package.json').match(/"nestjs-callbacks": "(.*)"/)![1];
    expect(said).toBe(
      [
        'nestjs-callbacks 7.0.0 is not ready to be published:',
        ...Object.keys(nothing).map((field) => `- package.json has no ${field}`),
        '- CHANGELOG.md has no heading "## 7.0.0, <date>"',
        ...STARTERS.map((starter) => `- ${starter} asks for ${asked}, not for ^7.0.0`),
        'See scripts/RELEASE.md.\n',
      ].join('\n'),
    );
  });

  it('goes on when all is there', () => {
    const { status, said } = check(filled, `## ${manifest.version}, 2026-12-01\n`);
    expect([status, said]).toEqual([0, expect.stringContaining('is ready to be published')]);
  });
});
