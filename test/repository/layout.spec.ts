/** Where things are in `lib/`, and who may import whom: the rules that keep it a house of rooms. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

/** The rooms of the core, in their order: a file imports its own room and those before it. */
const ROOMS = [
  'copies',
  'errors',
  'async',
  'events',
  'engine',
  'options',
  'transactions',
  'reports',
  'nest',
  'callbacks',
  'delivery',
  'runs',
  'app',
];

const MOST_LINES = 250;
const LONGEST_FUNCTION = 40;
const MOST_PARAMETERS = 5;

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const filesOf = (folder: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.m?ts$/.test(file) && !/(^|\/)(generated|node_modules)\//.test(file))
    .map((file) => join(folder, file));

interface Import {
  readonly from: string;
  readonly to: string;
}

/** All imports and re-exports of some files, for types as for values; those of own files as paths. */
const importsOf = (files: readonly string[]): Import[] =>
  files.flatMap((from) =>
    ts.preProcessFile(read(from)).importedFiles.map(({ fileName }) => ({
      from,
      to: fileName.startsWith('.') ? normalize(join(dirname(from), fileName.replace(/\.js$/, '.ts'))) : fileName,
    })),
  );

const files = filesOf('lib');
const sources = new Map(
  files.map((file) => [file, ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest, true)]),
);
const imports = importsOf(files);
const isOwn = ({ to }: Import) => to.startsWith('lib/');
const isCore = (file: string) => file.startsWith('lib/core/');
/** `errors` of lib/core/errors/show.ts; `undefined` of lib/core/seams.ts, which has no room. */
const roomOf = (file: string) => /^lib\/core\/([^/]+)\//.exec(file)?.[1];
/** `postgres` of lib/postgres/options.ts. */
const entryOf = (file: string) => /^lib\/([^/]+)\//.exec(file)?.[1];
const packageJson = JSON.parse(read('package.json')) as {
  exports: Record<string, unknown>;
  bin?: Record<string, string>;
  dependencies: Record<string, string>;
  peerDependencies: Record<string, string>;
  peerDependenciesMeta: Record<string, unknown>;
};

/** All nodes of all files that will do. */
function nodesOf<T extends ts.Node>(willDo: (node: ts.Node) => node is T): { file: string; node: T }[] {
  const found: { file: string; node: T }[] = [];
  for (const [file, source] of sources) {
    const visit = (node: ts.Node): void => {
      if (willDo(node)) found.push({ file, node });
      node.forEachChild(visit);
    };
    source.forEachChild(visit);
  }
  return found;
}

type WithBody = ts.FunctionLikeDeclaration & { readonly body: ts.Node };
const hasBody = (node: ts.Node): node is WithBody =>
  ts.isFunctionLike(node) && (node as ts.FunctionLikeDeclaration).body !== undefined;

const nameOf = (node: ts.Node): string => {
  const { name } = node as { name?: ts.Node };
  if (name) return name.getText();
  if (ts.isConstructorDeclaration(node)) return `constructor of ${node.parent.name?.text}`;
  return ts.isVariableDeclaration(node.parent) || ts.isPropertyAssignment(node.parent)
    ? node.parent.name.getText()
    : 'a function without a name';
};

const lineOf = (node: ts.Node, position: number) => node.getSourceFile().getLineAndCharacterOfPosition(position).line;

describe('The core', () => {
  it('is made of the rooms that this spec names', () => {
    const rooms = new Set(files.filter(isCore).flatMap((file) => roomOf(file) ?? []));
    expect([...rooms].toSorted()).toEqual(ROOMS.toSorted());
    expect(files.filter((file) => isCore(file) && !roomOf(file))).toEqual(['lib/core/seams.ts']);
  });

  it('imports, for its values as for its types, its own room and the rooms before it', () => {
    const placeOf = (file: string) => ROOMS.indexOf(roomOf(file) ?? 'none');
    const wrong = imports.filter(
      (one) => roomOf(one.from) && isOwn(one) && (placeOf(one.to) === -1 || placeOf(one.to) > placeOf(one.from)),
    );
    expect(wrong).toEqual([]);
  });

  it('has no index.ts, and imports none', () => {
    expect(files.filter((file) => isCore(file) && file.endsWith('/index.ts'))).toEqual([]);
    expect(imports.filter(({ from, to }) => isCore(from) && to.endsWith('/index.ts') && to.startsWith('lib/'))).toEqual(
      [],
    );
  });
});

describe('The library', () => {
  it('has no circle, types counted', () => {
    const own = new Map(files.map((file) => [file, [] as string[]]));
    for (const { from, to } of imports.filter(isOwn)) own.get(from)!.push(to);
    expect(circlesIn(own)).toEqual([]);
  });

  it('has a folder for each entry of package.json, and no other beside the core', () => {
    const exported = Object.keys(packageJson.exports).flatMap((entry) => /^\.\/([\w-]+)/.exec(entry)?.[1] ?? []);
    const commands = packageJson.bin ? ['command'] : [];
    const entries = new Set([...exported.filter((entry) => entry !== 'package'), ...commands]);
    const folders = new Set(files.flatMap((file) => entryOf(file) ?? []).filter((folder) => folder !== 'core'));
    expect([...folders].toSorted()).toEqual([...entries].toSorted());
  });

  it('has entries that take the core by its indexes or its seams, and no other entry', () => {
    const ways = ['lib/index.ts', 'lib/engine/index.ts', 'lib/core/seams.ts'];
    const wrong = imports.filter(isOwn).filter(({ from, to }) => {
      const entry = entryOf(from);
      // The package's index and the engine's are the core's two doors.
      if (from === 'lib/index.ts' || entry === 'engine') return !isCore(to) || to === 'lib/core/seams.ts';
      if (entry === 'core' || entryOf(to) === entry) return false;
      if (entry === 'command' && ['lib/postgres/index.ts', 'lib/redis/index.ts'].includes(to)) return false;
      return !ways.includes(to);
    });
    expect(wrong).toEqual([]);
  });

  it('knows Nest where that is the purpose, and its inside in one room', () => {
    const modules = ['testing', 'otel', 'console', 'event-emitter', 'command'];
    const ofNest = imports.filter(({ to }) => /^@nestjs\/(core|common)(\/|$)/.test(to));
    const wrong = ofNest.filter(({ from, to }) => {
      const room = roomOf(from) ?? '';
      if (to !== '@nestjs/core' && to !== '@nestjs/common') return room !== 'nest';
      if (to === '@nestjs/common') return false;
      return !['nest', 'callbacks', 'app'].includes(room) && !modules.includes(entryOf(from) ?? '');
    });
    expect(wrong).toEqual([]);
  });

  it.each<[string, RegExp, (file: string) => boolean]>([
    ['rxjs in one file', /^rxjs/, (file) => file === 'lib/core/async/promises.ts'],
    [
      'timers in one file, which fake timers do not reach',
      /^node:timers/,
      (file) => file === 'lib/core/async/timers.ts',
    ],
    [
      'diagnostics channels in one room, and in the recorder',
      /^node:diagnostics_channel$/,
      (file) => roomOf(file) === 'reports' || file === 'lib/testing/recorder.ts',
    ],
  ])('imports %s', (_what, module, may) => {
    const importing = imports.filter(({ to }) => module.test(to)).map(({ from }) => from);
    expect(importing.length).toBeGreaterThan(0);
    expect(importing.filter((file) => !may(file))).toEqual([]);
  });

  it('imports only what package.json says, optional peers in their own folder, and Nest by paths that end in .js', () => {
    const { dependencies, peerDependencies, peerDependenciesMeta } = packageJson;
    const optional: Record<string, string[]> = {
      postgres: ['pg', 'pg-boss', '@electric-sql/pglite'],
      'testing/jest': ['@jest/globals', 'expect'],
      'testing/vitest': ['vitest'],
      redis: ['bullmq', 'ioredis'],
      transactional: ['@nestjs-cls/transactional'],
      otel: ['@opentelemetry/api'],
      cls: ['nestjs-cls'],
    };
    const always = Object.keys({ ...dependencies, ...peerDependencies }).filter((name) => !peerDependenciesMeta[name]);
    for (const { from, to } of imports.filter((one) => !isOwn(one) && !one.to.startsWith('node:'))) {
      const own = Object.entries(optional).flatMap(([folder, names]) =>
        from.startsWith(`lib/${folder}/`) ? names : [],
      );
      const name = to
        .split('/')
        .slice(0, to.startsWith('@') ? 2 : 1)
        .join('/');
      expect([...always, ...own]).toContain(name);
      if (name !== to) expect(to).toMatch(/\.js$/);
    }
  });

  it('has no export that its declarations lack, as others are made of it', () => {
    expect(files.filter((file) => /@internal[^/]*\*\/\s*export/.test(read(file)))).toEqual([]);
  });
});

describe('A file of the library', () => {
  it(`has at most ${MOST_LINES} lines, enough for one idea`, () => {
    const linesOf = (file: string) => read(file).split('\n').length - 1;
    expect(files.filter((file) => linesOf(file) > MOST_LINES).map((file) => [file, linesOf(file)])).toEqual([]);
  });

  it(`has functions of at most ${LONGEST_FUNCTION} lines`, () => {
    const long = nodesOf(hasBody)
      .map(({ file, node }) => ({
        function: `${file}: ${nameOf(node)}`,
        lines: lineOf(node, node.getEnd()) - lineOf(node, node.getStart()) + 1,
      }))
      .filter(({ lines }) => lines > LONGEST_FUNCTION);
    expect(long).toEqual([]);
  });

  it(`has functions of at most ${MOST_PARAMETERS} positional parameters`, () => {
    const many = nodesOf((node): node is ts.SignatureDeclaration => ts.isFunctionLike(node))
      .filter(({ node }) => node.parameters.length > MOST_PARAMETERS)
      .map(({ file, node }) => `${file}: ${nameOf(node)} takes ${node.parameters.length}`);
    expect(many).toEqual([]);
  });

  it('has methods that answer a boolean and change nothing where their name begins with is, has, can or takes', () => {
    const isStatement = (name: ts.Node | undefined) => name && /^(is|has|can|takes)[A-Z]/.test(name.getText());
    const wrong = nodesOf(
      (node): node is ts.MethodDeclaration | ts.GetAccessorDeclaration =>
        (ts.isMethodDeclaration(node) || ts.isGetAccessorDeclaration(node)) && !!isStatement(node.name),
    )
      .filter(({ node }) => !answersBoolean(node) || changesSomething(node))
      .map(({ file, node }) => `${file}: ${nameOf(node)}`);
    expect(wrong).toEqual([]);
  });

  it('has no function that answers nothing though its name says that something is so', () => {
    const isSilent = ({ body }: WithBody) => ts.isBlock(body) && !/\breturn [^;]/.test(body.getText());
    const wrong = nodesOf(hasBody)
      .filter(({ node }) => /^(is|has|can|takes)[A-Z]/.test(nameOf(node)) && isSilent(node))
      .map(({ file, node }) => `${file}: ${nameOf(node)}`);
    expect(wrong).toEqual([]);
  });
});

describe('A spec', () => {
  it('imports the package by its name, as a user does', () => {
    const inside = importsOf([...filesOf('test'), ...filesOf('sample')]).filter(isOwn);
    expect(inside).toEqual([]);
  });

  it('has at most 500 lines', () => {
    const specs = [...filesOf('test'), ...filesOf('sample')].filter((file) => file.endsWith('.spec.ts'));
    expect(specs.filter((file) => read(file).split('\n').length - 1 > 500)).toEqual([]);
  });
});

/** Whether the declared type is a boolean, or a promise of one, or the type is guarded. */
const answersBoolean = ({ type }: ts.MethodDeclaration | ts.GetAccessorDeclaration) =>
  type !== undefined && (ts.isTypePredicateNode(type) || /^(Promise<)?boolean>?$/.test(type.getText()));

/** Whether a member of `this` is written, other than what it only remembers to answer faster. */
function changesSomething(method: ts.Node): boolean {
  let does = false;
  const isOfThis = (node: ts.Node): boolean =>
    ts.isPropertyAccessExpression(node) &&
    (node.expression.kind === ts.SyntaxKind.ThisKeyword || isOfThis(node.expression));
  const visit = (node: ts.Node): void => {
    if (
      ts.isBinaryExpression(node) &&
      node.operatorToken.kind >= ts.SyntaxKind.FirstAssignment &&
      node.operatorToken.kind <= ts.SyntaxKind.LastAssignment &&
      isOfThis(node.left)
    ) {
      does = true;
    }
    if ((ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) && isOfThis(node.operand)) {
      does ||= node.operator === ts.SyntaxKind.PlusPlusToken || node.operator === ts.SyntaxKind.MinusMinusToken;
    }
    if (ts.isDeleteExpression(node)) does = true;
    node.forEachChild(visit);
  };
  method.forEachChild(visit);
  return does;
}

/** The files that import each other, however many lie between: strongly connected components of more than one file. */
function circlesIn(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const [index, low, stack, circles] = [
    new Map<string, number>(),
    new Map<string, number>(),
    [] as string[],
    [] as string[][],
  ];
  const connect = (file: string): void => {
    index.set(file, index.size);
    low.set(file, index.get(file)!);
    stack.push(file);
    for (const next of graph.get(file) ?? []) {
      if (!index.has(next)) connect(next);
      if (stack.includes(next)) low.set(file, Math.min(low.get(file)!, low.get(next)!));
    }
    if (low.get(file) !== index.get(file)) return;
    const circle = stack.splice(stack.indexOf(file));
    if (circle.length > 1) circles.push(circle);
  };
  for (const file of graph.keys()) if (!index.has(file)) connect(file);
  return circles;
}
