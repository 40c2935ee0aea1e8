/** What a bundler makes of this package: optional peers that are absent (F4), and names of classes that it changes (A5, F9). */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { build, type BuildOptions } from 'esbuild';
import { Project } from '../support/child-process.js';

const NEEDED = ['@nestjs/*', '@standard-schema/spec', 'fastest-levenshtein', 'reflect-metadata', 'rxjs', 'uuidv7'];

describe('esbuild', () => {
  const project = new Project();
  afterAll(() => project.remove());
  const bundle = (file: string, options: BuildOptions = {}) =>
    build({
      ...options,
      entryPoints: [file],
      bundle: true,
      write: false,
      platform: 'node',
      format: 'esm',
      external: NEEDED,
      logLevel: 'silent',
    });

  describe('F4: where no package of an engine is installed', () => {
    let elsewhere: string;
    beforeAll(() => {
      elsewhere = mkdtempSync(join(tmpdir(), 'nestjs-callbacks-'));
      cpSync(project.file('lib'), join(elsewhere, 'lib'), { recursive: true });
      writeFileSync(join(elsewhere, 'package.json'), '{ "type": "module" }');
    });
    afterAll(() => rmSync(elsewhere, { recursive: true }));

    it.each([
      ['postgres', ['@electric-sql/pglite', 'pg', 'pg-boss']],
      ['redis', ['bullmq', 'ioredis']],
    ])(
      'bundles nestjs-callbacks/%s, and leaves what is absent to be imported when it is needed',
      async (entry, absent) => {
        const { errors, outputFiles } = await bundle(join(elsewhere, 'lib', entry, 'index.js'));
        expect(errors).toEqual([]);
        for (const name of absent) expect(outputFiles[0].text).toContain(`import("${name}")`);
      },
    );
  });

  describe('A5: an application of two classes of one name', () => {
    const greetings = (event: string) => `
      import { Callback } from 'nestjs-callbacks';
      export class Greetings {
        @Callback('${event}', { delivery: 'durable' }) greet() {}
      }`;
    const application = `
      import 'reflect-metadata';
      import { Module } from '@nestjs/common';
      import { NestFactory } from '@nestjs/core';
      import { EventsModule } from 'nestjs-callbacks';
      import { memoryEngine } from 'nestjs-callbacks/testing';
      import { Greetings } from './one.js';
      import { Greetings as Others } from './other.js';
      @Module({ imports: [EventsModule.forRoot({ engine: memoryEngine() })], providers: [Greetings, Others] })
      class AppModule {}
      const warn = (message) => message.includes('addressed by') && console.log(message);
      const nothing = () => {};
      const app = await NestFactory.createApplicationContext(AppModule, {
        logger: { warn, log: nothing, error: console.error, debug: nothing },
      });
      await app.close();`;
    beforeAll(() => {
      project.write('one.ts', greetings('x'));
      project.write('other.ts', greetings('y'));
      project.write('application.ts', application);
    });
    const warned = async (options: BuildOptions) => {
      const { outputFiles } = await bundle(project.file('application.js'), options);
      project.write('bundled.js', outputFiles[0].text);
      const { output, code } = await project.run('bundled.js');
      if (code !== 0) throw new Error(output);
      return output.split('\n').filter(Boolean);
    };

    it('F9: is warned of each address that is made of a mangled name', async () => {
      const lines = await warned({ minify: true });
      expect(lines).toHaveLength(2);
      for (const line of lines) expect(line).toContain('which looks like one that a minifier made up');
    });

    it('is warned of the numbers by which the bundler tells the classes apart', async () => {
      expect(await warned({})).toEqual([
        expect.stringMatching(/to Greetings2\.greet .* which looks numbered by a bundler/),
      ]);
    });

    it('is warned that they share a name, where the bundler keeps it', async () => {
      const lines = await warned({ minify: true, keepNames: true });
      expect(lines).toHaveLength(2);
      for (const line of lines)
        expect(line).toContain('to Greetings.greet are addressed by the name of its class, which another');
    });
  });
});
