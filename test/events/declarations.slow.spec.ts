/** What libraries and applications that emit declarations can say, and what editors offer. The snippets are compiled, not run. */
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const root = fileURLToPath(new URL('../..', import.meta.url));
const ENTRIES = ['', '/postgres', '/redis', '/testing', '/transactional', '/cls', '/engine'];

const { config } = ts.readConfigFile(join(root, 'lib/tsconfig.json'), ts.sys.readFile);
const parsed = ts.parseJsonConfigFileContent(config, ts.sys, join(root, 'lib'));

/** A project beside this package, which has the package's declarations installed: only what its entries export can be named. */
const project = join(root, 'test/declaring');
const files = new Map<string, string>([[join(project, 'package.json'), '{ "type": "module" }']]);
const installed = join(project, 'node_modules/nestjs-callbacks');
files.set(
  join(installed, 'package.json'),
  JSON.stringify({
    name: 'nestjs-callbacks',
    type: 'module',
    exports: Object.fromEntries(ENTRIES.map((entry) => [`.${entry}`, `./dist${entry}/index.d.ts`])),
  }),
);
const library = ts.createProgram(parsed.fileNames, { ...parsed.options, emitDeclarationOnly: true });
library.emit(undefined, (file, text) => files.set(join(installed, 'dist', relative(join(root, 'dist'), file)), text));

const settings: ts.CompilerOptions = {
  ...parsed.options,
  noEmit: false,
  emitDeclarationOnly: true,
  paths: undefined,
  rootDir: undefined,
  noUnusedLocals: false,
};
const folders = new Set<string>();
for (const file of files.keys()) {
  for (let folder = dirname(file); folder !== root && folder.length > 1; folder = dirname(folder)) folders.add(folder);
}
const system: ts.System = {
  ...ts.sys,
  fileExists: (file) => files.has(file) || ts.sys.fileExists(file),
  readFile: (file) => files.get(file) ?? ts.sys.readFile(file),
  directoryExists: (folder) => folders.has(folder) || ts.sys.directoryExists(folder),
};

function programOf(sources: Readonly<Record<string, string>>): ts.Program {
  for (const [name, source] of Object.entries(sources)) files.set(join(project, name), source);
  const host = ts.createCompilerHost(settings);
  const { getSourceFile } = host;
  Object.assign(host, {
    fileExists: system.fileExists,
    readFile: system.readFile,
    directoryExists: system.directoryExists,
    realpath: (path: string) => path,
    getSourceFile: (file: string, language: ts.ScriptTarget) => {
      const text = files.get(file);
      return text === undefined ? getSourceFile.call(host, file, language) : ts.createSourceFile(file, text, language);
    },
  });
  return ts.createProgram(
    Object.keys(sources).map((name) => join(project, name)),
    settings,
    host,
  );
}

function messagesOf(source: string): string[] {
  const program = programOf({ 'declaring.ts': source });
  const file = program.getSourceFile(join(project, 'declaring.ts'));
  const found = [...program.getSemanticDiagnostics(file), ...program.getDeclarationDiagnostics(file)];
  return found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

/** Exports, in a module, every value of an entry, and every public member of its classes, with whatever type they have. */
function exportingAllOf(entry: string): string {
  const name = `nestjs-callbacks${entry}`;
  const program = programOf({ 'reading.ts': `import * as all from '${name}'; export const read = all;` });
  const checker = program.getTypeChecker();
  const index = program.getSourceFile(join(installed, `dist${entry}/index.d.ts`))!;
  const lines = [`import * as all from '${name}';`];
  for (const exported of checker.getExportsOfModule(checker.getSymbolAtLocation(index)!)) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    if (!(symbol.flags & ts.SymbolFlags.Value) || isTypeOnly(exported)) continue;
    lines.push(`export const ${exported.name} = all.${exported.name};`);
    if (!(symbol.flags & ts.SymbolFlags.Class)) continue;
    for (const member of checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol))) {
      const isPublic = member.declarations?.every(
        (declared) =>
          !(ts.getCombinedModifierFlags(declared) & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected)),
      );
      if (!isPublic || !/^\w+$/.test(member.name)) continue;
      const parameters = (symbol.valueDeclaration as ts.ClassDeclaration).typeParameters?.length ?? 0;
      const type = `all.${exported.name}${parameters ? `<${Array(parameters).fill('any').join(', ')}>` : ''}`;
      lines.push(`export const ${exported.name}_${member.name} = (of: ${type}) => of.${member.name};`);
    }
  }
  return lines.join('\n');
}

const isTypeOnly = ({ declarations = [] }: ts.Symbol) =>
  declarations.some((one) => ts.isExportSpecifier(one) && (one.isTypeOnly || one.parent.parent.isTypeOnly));

describe('With `declaration: true`', () => {
  it.each(ENTRIES)('F2: whatever nestjs-callbacks%s has can be exported again', (entry) => {
    const source = exportingAllOf(entry);
    expect(source.split('\n').length).toBeGreaterThan(1);
    expect(messagesOf(source)).toEqual([]);
  });

  it('F2: decorators, wrappers and outcomes of your own can be exported', () => {
    const source = `
      import { SetMetadata, applyDecorators } from '@nestjs/common';
      import { z } from 'zod';
      import { Callback, currentEvent, defineEvent, EventRunner, inTransaction, switchToEvent,
        type EventName, type EventObject, type RunArguments } from 'nestjs-callbacks';
      declare module 'nestjs-callbacks' { interface EventMap { user_joined: [name: string]; odd: string } }
      export const Joined = () => Callback('user_joined');
      export const Odd = () => Callback('odd');
      export const Durable = (...ids: string[]) => Callback('user_joined', { delivery: 'durable', formerly: ids });
      export const On = <E extends EventName>(event: E) => Callback(event);
      export const Audited = () => applyDecorators(Joined(), SetMetadata('audited', true));
      export const userLeft = defineEvent('user_left', z.string(), z.coerce.date().default(new Date()));
      export const Left = () => Callback(userLeft);
      export class Placed { constructor(readonly total: number) {} }
      export const OnPlaced = () => Callback(Placed);
      declare const events: EventRunner;
      export const emit = <E extends EventName>(event: E, ...args: RunArguments<E>) => events.run(event, ...args);
      export const emitAny = <E extends EventName | EventObject>(event: E, ...args: RunArguments<E>) => events.runSettled(event, ...args);
      export type Sent = Parameters<typeof emit<'user_joined'>>;
      export const args = {} as RunArguments<'odd'>;
      export const none = {} as RunArguments<'user_joined' | 'odd'>;
      export const current = () => currentEvent();
      export const delivery = () => currentEvent()?.delivery;
      export const outcomes = async () => (await events.runSettled('user_joined', 'Ada')).map((outcome) => outcome);
      export const within = (open: () => Promise<void>) => inTransaction(open as never, async () => 5);
      export const host = switchToEvent;`;
    expect(messagesOf(source)).toEqual([]);
  });
});

describe('In an editor', () => {
  const MARK = '/**/';

  function completionsAt(source: string): string[] {
    const file = join(project, 'asking.ts');
    files.set(file, source.replace(MARK, ''));
    const service = ts.createLanguageService({
      ...system,
      useCaseSensitiveFileNames: () => true,
      getCompilationSettings: () => settings,
      getScriptFileNames: () => [file],
      getScriptVersion: () => '1',
      getScriptSnapshot: (name) => {
        const text = system.readFile(name);
        return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
      },
      getCurrentDirectory: () => project,
      getDefaultLibFileName: ts.getDefaultLibFilePath,
    });
    return service.getCompletionsAtPosition(file, source.indexOf(MARK), {})!.entries.map(({ name }) => name);
  }

  it.each([
    ['run()', `events.run('${MARK}')`],
    ['run() with arguments', `events.run('${MARK}', 'Ada')`],
    ['runSettled()', `events.runSettled('${MARK}')`],
    ['@Callback()', `class Answer { @Callback('${MARK}') method() {} }`],
    ['fakeEvent()', `tested.fakeEvent('${MARK}')`],
    ['runsOf()', `tested.runsOf('${MARK}')`],
  ])('F6: %s is completed by names and nothing else', (_, code) => {
    const head = `
      import { Callback, EventRunner } from 'nestjs-callbacks';
      import { TestEvents } from 'nestjs-callbacks/testing';
      declare module 'nestjs-callbacks' { interface EventMap { user_joined: [name: string]; server_started: [] } }
      declare const events: EventRunner; declare const tested: TestEvents;`;
    expect(completionsAt(`${head} ${code}`).toSorted()).toEqual(['server_started', 'user_joined']);
  });
});
