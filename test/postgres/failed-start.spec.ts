/** What becomes of a process whose application has not started, though its engine has. */
import { expect, it } from '@jest/globals';
import { describeWith, findPostgres } from '../support/servers.js';
import { runInProcess } from '../support/child-process.js';
import { sceneOn } from './scene.js';

describeWith('On a Postgres server (DATABASE_URL, or the local one)', await findPostgres(), (connectionString) => {
  const scene = sceneOn(connectionString);

  it.each(['onModuleInit', 'onApplicationBootstrap'])(
    "A10: a process ends by itself when another module's %s() throws",
    async (hook) => {
      const { code, output } = await runInProcess(`
        import 'reflect-metadata';
        import { Module } from '@nestjs/common';
        import { NestFactory } from '@nestjs/core';
        import { Callback, EventsModule } from 'nestjs-callbacks';
        import { postgres } from 'nestjs-callbacks/postgres';

        class Emails {
          @Callback('x', { delivery: 'durable' }) greet() {}
        }
        class Failing {
          async ${hook}() {
            throw new Error('not this time');
          }
        }
        const engine = postgres({ connectionString: '${connectionString}', schema: '${scene.schema}' });
        @Module({ imports: [EventsModule.forRoot({ engine })], providers: [Emails, Failing] })
        class AppModule {}

        await NestFactory.createApplicationContext(AppModule, { abortOnError: false, logger: false }).catch((error) => {
          console.log('failed:', error.message);
        });
      `);
      expect([code, output.trim()]).toEqual([0, 'failed: not this time']);
    },
  );
});
