import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformSync } from '@swc/core';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { transform } = JSON.parse(readFileSync(join(root, 'jest.config.json'), 'utf8'));
const [, { jsc }] = transform['\\.ts$'];

export interface Ended {
  /** `null` when a signal ended it. */
  readonly code: number | null;
  readonly output: string;
}

/** Compiles the library and `script`, runs it in a process of its own, as a user's program would run, and waits for its end. */
export async function runInProcess(script: string): Promise<Ended> {
  const cache = join(root, 'node_modules', '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'nestjs-callbacks-'));
  try {
    mkdirSync(join(folder, 'lib'));
    const manifest = { name: 'nestjs-callbacks', type: 'module', exports: './lib/index.js' };
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
    const compile = (source: string) => transformSync(source, { jsc, module: { type: 'es6' } }).code;
    for (const file of readdirSync(join(root, 'lib'))) {
      if (!file.endsWith('.ts')) continue;
      const source = readFileSync(join(root, 'lib', file), 'utf8');
      writeFileSync(join(folder, 'lib', file.replace('.ts', '.js')), compile(source));
    }
    writeFileSync(join(folder, 'script.js'), compile(script));
    return await ended(join(folder, 'script.js'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function ended(file: string): Promise<Ended> {
  const child = spawn(process.execPath, [file], {
    env: { ...process.env, NO_COLOR: '1', NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
}
