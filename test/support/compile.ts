import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);

/** Compiles each source as a module of one program, as a user's project would; returns each one's messages. */
export function compile(sources: readonly string[], names: readonly string[] = []): string[][] {
  const files = new Map(
    sources.map((source, index) => [join(root, 'test', names[index] ?? `snippet-${index}.ts`), source]),
  );
  const settings = { ...options, noUnusedLocals: false };
  const host = ts.createCompilerHost(settings);
  const { fileExists, readFile, getSourceFile, directoryExists } = host;
  host.directoryExists = (folder) =>
    [...files.keys()].some((file) => file.startsWith(`${folder}/`)) || directoryExists!(folder);
  host.fileExists = (file) => files.has(file) || fileExists(file);
  host.readFile = (file) => files.get(file) ?? readFile(file);
  host.getSourceFile = (file, language, ...rest) =>
    files.has(file)
      ? ts.createSourceFile(file, files.get(file)!, language)
      : parsedOnce(file, () => getSourceFile(file, language, ...rest));
  const program = ts.createProgram([...files.keys()], settings, host);
  return [...files.keys()].map((file) => {
    const source = program.getSourceFile(file)!;
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(textOf);
  });
}

/** What is not a source of the caller's is the same in every program. */
const parsed = new Map<string, ts.SourceFile | undefined>();
function parsedOnce(file: string, parse: () => ts.SourceFile | undefined): ts.SourceFile | undefined {
  if (!parsed.has(file)) parsed.set(file, parse());
  return parsed.get(file);
}

const textOf = ({ messageText, relatedInformation = [] }: ts.Diagnostic) =>
  [messageText, ...relatedInformation.map((related) => related.messageText)]
    .map((text) => ts.flattenDiagnosticMessageText(text, '\n'))
    .join('\n');
