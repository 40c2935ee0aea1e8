import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformSync } from '@swc/core';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { transform } = JSON.parse(readFileSync(join(root, 'jest.config.json'), 'utf8'));
const { peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const [, { jsc }] = transform['\\.ts$'];

export interface Ended {
  /** `null` when a signal ended it. */
  readonly code: number | null;
  readonly output: string;
}

export interface Running {
  /** So far. */
  readonly output: string;
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Resolves when it has printed this, and rejects with its output when it ends without. */
  printed(text: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

/** A user's project in a folder of its own: the library, and what else is compiled into it. */
export class Project {
  private readonly folder: string;

  /**
   * @param parent where the folder is made; within this repository its packages are there, elsewhere none is
   * @param isCommonJs whether all of it is compiled to CommonJS
   */
  constructor(
    parent = join(root, 'node_modules', '.cache'),
    private readonly isCommonJs = false,
  ) {
    mkdirSync(parent, { recursive: true });
    this.folder = mkdtempSync(join(parent, 'nestjs-callbacks-'));
    const exports = { '.': './lib/index.js', './*': './lib/*/index.js' };
    const type = isCommonJs ? 'commonjs' : 'module';
    this.write('package.json', JSON.stringify({ name: 'nestjs-callbacks', type, exports, peerDependencies }));
    this.copy('lib');
  }

  /** Lends it packages of this repository. */
  lend(...names: string[]): void {
    for (const name of names) {
      const link = join(this.folder, 'node_modules', name);
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(join(root, 'node_modules', name), link);
    }
  }

  /** Has it run on Nest 11, with packages of this repository that would find the other Nest where they are. */
  useNest11(...packages: string[]): void {
    const modules = join(this.folder, 'node_modules');
    mkdirSync(modules, { recursive: true });
    symlinkSync(join(root, 'test/nest-11/node_modules/@nestjs'), join(modules, '@nestjs'));
    for (const name of packages) cpSync(join(root, 'node_modules', name), join(modules, name), { recursive: true });
  }

  /** The path of one of its files. */
  file(name: string): string {
    return join(this.folder, name);
  }

  /** Compiles a folder of this repository into the project. */
  copy(name: string, to = name): void {
    for (const file of readdirSync(join(root, name), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts') || file.endsWith('.spec.ts')) continue;
      this.write(join(to, file), readFileSync(join(root, name, file), 'utf8'));
    }
  }

  /** Writes a file, compiled if it is TypeScript. */
  write(file: string, content: string): void {
    const target = join(this.folder, file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    const isSource = file.endsWith('.ts');
    writeFileSync(
      target,
      isSource ? transformSync(content, { jsc, module: { type: this.isCommonJs ? 'commonjs' : 'es6' } }).code : content,
    );
  }

  /** Runs one of its files in a process of its own, and waits for the end of that. */
  run(file: string, invocation: Invocation = {}): Promise<Ended> {
    return this.start(file, invocation).ended;
  }

  /** The same, without waiting. */
  start(file: string, { flags = [], args = [], env, input }: Invocation = {}): Running {
    return startProcess(process.execPath, [...flags, join(this.folder, file), ...args], { env, input });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

export interface Surroundings {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input?: string;
}

export interface Invocation extends Omit<Surroundings, 'cwd'> {
  /** For Node. */
  readonly flags?: readonly string[];
  readonly args?: readonly string[];
}

/** Starts a program as a process of its own. */
export function startProcess(
  program: string,
  args: readonly string[],
  { cwd, env, input = '' }: Surroundings,
): Running {
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, NO_COLOR: '1', NODE_OPTIONS: '', ...env },
  });
  const running = {
    output: '',
    pid: child.pid!,
    printed: (text: string) =>
      new Promise<void>((resolve, reject) => {
        const look = () => running.output.includes(text) && resolve();
        for (const stream of [child.stdout, child.stderr]) stream.on('data', look);
        void running.ended.then(({ output }) => reject(new Error(`It has ended, and printed:\n${output}`)));
        look();
      }),
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    ended: new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, output: running.output }))),
  };
  child.stdout.on('data', (chunk) => (running.output += chunk));
  child.stderr.on('data', (chunk) => (running.output += chunk));
  child.stdin.end(input);
  return running;
}

/** Runs a program of one file as a user's would run, and waits for its end. */
export async function runInProcess(program: string): Promise<Ended> {
  const project = new Project();
  try {
    project.write('program.ts', program);
    return await project.run('program.js');
  } finally {
    project.remove();
  }
}
