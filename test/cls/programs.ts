import { readFileSync } from 'node:fs';
import { Project, type Running } from '../support/child-process.js';

const { nestMajor } = globalThis as { nestMajor?: number };

/** The programs of this folder: nestjs-cls is CommonJS, and Jest cannot load what it requires of Nest. */
export class Programs {
  private readonly project = new Project();

  constructor() {
    if (nestMajor === 11) this.project.useNest11('nestjs-cls');
    this.project.copy('test/cls');
    for (const file of ['app.ts', 'pg-transaction.ts']) {
      this.project.write(`test/support/${file}`, readFileSync(new URL(`../support/${file}`, import.meta.url), 'utf8'));
    }
  }

  start(program: string, ...args: string[]): Running {
    return this.project.start(`test/cls/${program}.js`, { args });
  }

  /** What a program prints at last, as JSON. */
  async resultOf<Result>(program: string, ...args: string[]): Promise<Result> {
    const { output, code } = await this.start(program, ...args).ended;
    if (code !== 0) throw new Error(output);
    return JSON.parse(output.trim().split('\n').at(-1)!) as Result;
  }

  remove(): void {
    this.project.remove();
  }
}
