import { Project } from './child-process.js';

/** The source of an application of one class, up to its start. */
function application(engine: string, emails: string): string {
  const [folder] = engine.split('(');
  return `import 'reflect-metadata';
    import { setTimeout as sleep } from 'node:timers/promises';
    import { Injectable, Module } from '@nestjs/common';
    import { NestFactory } from '@nestjs/core';
    import { Callback, EventDeliveries, EventRunner, EventsModule } from 'nestjs-callbacks';
    import { ${folder} } from 'nestjs-callbacks/${folder}';

    @Injectable()
    class Emails { ${emails} }
    @Module({ imports: [EventsModule.forRoot({ engine: ${engine} })], providers: [Emails] })
    class AppModule {}
    const app = await NestFactory.createApplicationContext(AppModule, { logger: false });`;
}

/**
 * Another process stores a delivery of `Emails.greet`, begins with it, and is killed.
 *
 * @param engine as source, `postgres({ … })`, imported from the folder of that name
 */
export async function killWhilePerforming(engine: string, env: NodeJS.ProcessEnv): Promise<void> {
  const project = new Project();
  try {
    const emails = `@Callback('x', { delivery: 'durable' }) async greet() {
      console.log('begun');
      await new Promise(() => {});
    }`;
    project.write('instance.ts', `${application(engine, emails)} await app.get(EventRunner).run('x', 'Ada');`);
    const killed = project.start('instance.js', { env });
    await killed.printed('begun');
    killed.kill('SIGKILL');
    await killed.ended;
  } finally {
    project.remove();
  }
}

/**
 * Other processes perform deliveries of `Emails.greet`, one after the other, until nothing waits or runs. An argument that begins
 * with `poison` kills its process. The other deliveries take a while.
 *
 * @returns the arguments of those that were performed, and how many processes have died
 */
export async function performWhileItDies(engine: string, env: NodeJS.ProcessEnv) {
  const project = new Project();
  try {
    const emails = `@Callback('x', { delivery: 'durable', concurrency: 6, retry: { attempts: 3, delayMs: 0 } })
    async greet(what: string) {
      if (what.startsWith('poison')) process.kill(process.pid, 'SIGKILL');
      await sleep(200);
      console.log(what);
    }`;
    project.write(
      'instance.ts',
      `${application(engine, emails)}
      const isOpen = ({ waiting, delayed, running }) => waiting + delayed + running > 0;
      while ((await app.get(EventDeliveries).counts()).some(isOpen)) await sleep(50);
      await app.close();
      process.exit();`,
    );
    const performed = new Set<string>();
    for (let deaths = 0; ; deaths++) {
      const { code, output } = await project.run('instance.js', { env });
      for (const line of output.split('\n').filter(Boolean)) performed.add(line);
      if (code !== null) return { performed: [...performed].toSorted(), deaths };
    }
  } finally {
    project.remove();
  }
}
