import { Project } from './child-process.js';

/**
 * Another process stores a delivery of `Emails.greet`, begins with it, and is killed.
 *
 * @param engine as source, `postgres({ … })`, imported from the folder of that name
 */
export async function killWhilePerforming(engine: string, env: NodeJS.ProcessEnv): Promise<void> {
  const [folder] = engine.split('(');
  const project = new Project();
  try {
    project.write(
      'instance.ts',
      `import 'reflect-metadata';
      import { Injectable, Module } from '@nestjs/common';
      import { NestFactory } from '@nestjs/core';
      import { Callback, EventRunner, EventsModule } from 'nestjs-callbacks';
      import { ${folder} } from 'nestjs-callbacks/${folder}';

      @Injectable()
      class Emails {
        @Callback('x', { delivery: 'durable' }) async greet() {
          console.log('begun');
          await new Promise(() => {});
        }
      }
      @Module({ imports: [EventsModule.forRoot({ engine: ${engine} })], providers: [Emails] })
      class AppModule {}
      const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
      await app.get(EventRunner).run('x', 'Ada');`,
    );
    const killed = project.start('instance.js', { env });
    await killed.printed('begun');
    killed.kill('SIGKILL');
    await killed.ended;
  } finally {
    project.remove();
  }
}
