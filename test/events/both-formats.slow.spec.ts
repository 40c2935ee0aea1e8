/** A14: A library of one module format, which declares events, in an application of the other. Compiled, not run. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import { read, root } from '../support/manual.js';

const source = (name: string) => read(`test/consumers/declarations/${name}.txt`);

describe('A14: Events that a library of the other module format declares', () => {
  let project: string;
  /** Writes the declarations of both builds, as `npm run build` does. */
  beforeAll(() => {
    mkdirSync(join(root, 'node_modules/.cache'), { recursive: true });
    project = mkdtempSync(join(root, 'node_modules/.cache/declarations-'));
    // Without a name of its own it would be part of this package.
    writeFileSync(join(project, 'package.json'), '{ "name": "application" }');
    const installed = join(project, 'node_modules/nestjs-callbacks');
    emit(join(installed, 'dist'), {});
    emit(join(installed, 'dist/cjs'), {
      module: ts.ModuleKind.CommonJS,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
    });
    writeFileSync(join(installed, 'dist/cjs/package.json'), '{ "type": "commonjs" }');
    writeFileSync(join(installed, 'package.json'), read('package.json'));
    execFileSync(process.execPath, [join(root, 'scripts/finish-build.mjs'), join(installed, 'dist')]);
  });
  afterAll(() => rmSync(project, { recursive: true }));

  const { config } = ts.readConfigFile(join(root, 'lib/tsconfig.json'), ts.sys.readFile);
  const { options, fileNames } = ts.parseJsonConfigFileContent(config, ts.sys, join(root, 'lib'));

  function emit(outDir: string, format: ts.CompilerOptions): void {
    ts.createProgram(fileNames, { ...options, ...format, outDir, emitDeclarationOnly: true }).emit();
  }

  function messagesOf(ending: string): string[] {
    const settings = { ...options, noEmit: true, paths: undefined, rootDir: undefined };
    const program = ts.createProgram([join(project, `application.${ending}`)], settings);
    return ts
      .getPreEmitDiagnostics(program)
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
  }

  it.each([
    ['commonjs', 'mts'],
    ['module', 'cts'],
  ])('are known where the library is of type %s, and the application is an .%s', (type, ending) => {
    const library = join(project, 'node_modules/library');
    mkdirSync(library, { recursive: true });
    writeFileSync(join(library, 'package.json'), JSON.stringify({ name: 'library', type, types: 'index.d.ts' }));
    writeFileSync(join(library, 'index.d.ts'), source('library'));
    writeFileSync(join(project, `application.${ending}`), source('application'));
    expect(messagesOf(ending)).toEqual([]);
    writeFileSync(
      join(project, `application.${ending}`),
      source('application').replaceAll('// @ts-expect-error', '//'),
    );
    expect(messagesOf(ending)).not.toEqual([]);
  });
});
