/** What is said of the packages that an engine needs and does not find, in a project that has only some of them. */
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Project } from '../support/child-process.js';

const LENT = ['@nestjs/common', '@nestjs/core', 'rxjs', 'reflect-metadata', 'uuidv7', 'fastest-levenshtein'];

/** Starts an engine of each kind, and prints what each says. */
const PROGRAM = `
  import 'reflect-metadata';
  import { postgres } from 'nestjs-callbacks/postgres';
  import { redis } from 'nestjs-callbacks/redis';

  const host = { instance: 'here', log() {}, warn() {}, report() {} };
  const attempt = async (make: () => { start(host: object): Promise<void> }) =>
    make().start(host).then(() => 'It has started.', (error: Error) => error.message);
  async function main() {
    console.log(JSON.stringify({
      server: await attempt(postgres({ connectionString: 'postgres://ada@localhost:1/none' })),
      folder: await attempt(postgres({ folder: process.argv[2] })),
      redis: await attempt(redis({ url: 'redis://localhost:1' })),
    }));
  }
  void main();
`;

type Said = Record<'server' | 'folder' | 'redis', string>;

describe.each([
  ['ES modules', false],
  ['CommonJS', true],
])('In a project of %s, an engine names the packages', (_, isCommonJs) => {
  let project: Project;
  beforeAll(() => {
    project = new Project(tmpdir(), isCommonJs);
    project.lend(...LENT);
    project.write('program.ts', PROGRAM);
  });
  afterAll(() => project.remove());

  /** Puts packages in the project, by name, version and source. */
  function install(packages: Record<string, [version: string, source: string]>): void {
    for (const [name, [version, source]] of Object.entries(packages)) {
      const main = isCommonJs ? 'main.cjs' : 'main.mjs';
      // None exports its package.json, as many do not.
      const exports = { '.': `./${main}` };
      project.write(`node_modules/${name}/package.json`, JSON.stringify({ name, version, exports }));
      const text = isCommonJs
        ? source.replace(/^import '(.*)';/, `require('$1');`).replace(/export default/, 'module.exports =')
        : source;
      project.write(`node_modules/${name}/${main}`, text);
    }
  }

  async function said(): Promise<Said> {
    const { output } = await project.run('program.js', { args: [`${tmpdir()}/nowhere/at/all`] });
    const line = output.split('\n').find((text) => text.startsWith('{"server"'));
    if (line === undefined) throw new Error(output);
    return JSON.parse(line) as Said;
  }

  it('A11: that are missing, all at once', async () => {
    expect(await said()).toEqual({
      server:
        'the packages pg, pg-boss and @opentelemetry/api are not there. Install them: npm install pg@8 pg-boss@12 @opentelemetry/api@1',
      folder:
        'the packages @electric-sql/pglite, pg-boss and @opentelemetry/api are not there. ' +
        'Install them: npm install @electric-sql/pglite@0.5 pg-boss@12 @opentelemetry/api@1',
      redis: 'the packages ioredis and bullmq are not there. Install them: npm install ioredis@5 bullmq@6',
    });
  });

  it('A11: that is missing to one of them, and none that is there', async () => {
    const pool = 'export default { Pool: class { on() {} connect() { return Promise.reject(new Error("away")); } } };';
    install({
      pg: ['8.16.0', pool],
      'pg-boss': ['12.38.0', `import '@opentelemetry/api';`],
      ioredis: ['5.8.2', `import 'redis-parser/lib/parser';`],
      bullmq: ['6.7.0', ''],
    });
    const { server, redis } = await said();
    expect(server).toBe(
      'the package @opentelemetry/api, which pg-boss needs, is not there. Install it: npm install @opentelemetry/api@1',
    );
    expect(redis).toBe(
      'the package redis-parser, which ioredis needs, is not there. Install it: npm install redis-parser',
    );
  });

  it('A11: whose version does not fit, with the one that is there and those that are wanted', async () => {
    install({
      pg: ['7.18.2', ''],
      ioredis: ['4.30.1', ''],
      '@electric-sql/pglite': ['0.6.0', ''],
    });
    expect(await said()).toEqual({
      server:
        'the package pg is there in version 7.18.2, and ^8.16.0 is wanted. Install that: npm install "pg@^8.16.0"',
      folder:
        'the package @electric-sql/pglite is there in version 0.6.0, and ^0.5.0 is wanted. ' +
        'Install that: npm install "@electric-sql/pglite@^0.5.0"',
      redis:
        'the package ioredis is there in version 4.30.1, and ^5.8.2 || ^6.0.0 is wanted. ' +
        'Install that: npm install "ioredis@^6.0.0"',
    });
  });

  it('A11: whose version does not fit and which cannot be loaded therefore', async () => {
    install({ pg: ['7.18.2', 'throw new Error("nothing for you");'], ioredis: ['5.8.1', ''] });
    const { server, redis } = await said();
    expect(server).toContain('the package pg is there in version 7.18.2, and ^8.16.0 is wanted.');
    expect(redis).toContain('the package ioredis is there in version 5.8.1, and ^5.8.2 || ^6.0.0 is wanted.');
  });

  it('A11: and passes on what is wrong within one', async () => {
    install({ pg: ['8.16.0', 'throw new Error("nothing for you");'], ioredis: ['6.1.0', `import './gone.js';`] });
    const { server, redis } = await said();
    expect(server).toBe('nothing for you');
    expect(redis).toMatch(/^Cannot find module .*gone\.js/);
  });
});
