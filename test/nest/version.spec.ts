/** Which Nest the specs run on: that of package.json, or the one that another configuration of Jest names. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from '@jest/globals';
import { Module } from '@nestjs/common';
import { NestApplication, NestContainer } from '@nestjs/core';
import { Test } from '@nestjs/testing';

const readJson = (file: string) =>
  JSON.parse(readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')) as {
    devDependencies: Record<string, string>;
  };
const { nestMajor } = globalThis as { nestMajor?: number };
const expected = nestMajor ?? Number.parseInt(readJson('package.json').devDependencies['@nestjs/core']);

describe('The Nest that the specs run on', () => {
  it.each(['common', 'core', 'platform-express', 'platform-fastify', 'terminus'])(
    'is of the major version that is asked for: @nestjs/%s',
    (name) => {
      const { version } = createRequire(import.meta.url)(`@nestjs/${name}/package.json`) as { version: string };
      expect(Number.parseInt(version)).toBe(expected);
    },
  );

  it('is one, also for the packages of Nest themselves', async () => {
    @Module({})
    class AppModule {}

    const app = (await Test.createTestingModule({ imports: [AppModule] }).compile()).createNestApplication();
    expect(app).toBeInstanceOf(NestApplication);
    expect((app as unknown as { container: unknown }).container).toBeInstanceOf(NestContainer);
    await app.close();
  });
});
