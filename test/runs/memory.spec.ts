/** Runs leave nothing behind: a heap measurement, in a process of its own. `test/bench/memory.mjs` does a million. */
import { describe, expect, it } from '@jest/globals';
import { Project } from '../support/child-process.js';

describe('Thousands of runs', () => {
  it('leave no context, no instance and no error behind', async () => {
    const project = new Project();
    try {
      project.write(
        'program.ts',
        `import 'reflect-metadata';
        import { Injectable, Module, Scope, Inject } from '@nestjs/common';
        import { NestFactory, REQUEST } from '@nestjs/core';
        import { Callback, EventRunner, EventsModule } from 'nestjs-callbacks';

        @Injectable({ scope: Scope.REQUEST })
        class Scoped {
          readonly ballast = new Array(1_000).fill(0);
          constructor(@Inject(REQUEST) readonly current: unknown) {}
          @Callback('x') async go() {}
          @Callback('x', { delivery: 'background' }) later() {}
          @Callback('failing') fail() { throw new Error('expected'); }
        }
        @Module({ imports: [EventsModule], providers: [Scoped] })
        class AppModule {}
        const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
        const events = app.get(EventRunner);
        async function heapAfter(runs: number) {
          for (let run = 0; run < runs; run++) {
            await events.run('x', run);
            await events.with({ request: { run } }).run('failing').catch(() => {});
            if (run % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
          }
          for (let i = 0; i < 3; i++) { globalThis.gc!(); await new Promise((resolve) => setImmediate(resolve)); }
          return process.memoryUsage().heapUsed;
        }
        const before = await heapAfter(1_000);
        console.log(JSON.stringify({ bytesPerRun: (await heapAfter(4_000) - before) / 4_000 }));
        await app.close();`,
      );
      const { output } = await project.run('program.js', { flags: ['--expose-gc'] });
      const { bytesPerRun } = JSON.parse(output);
      // One instance left behind would be 8,000 bytes.
      expect(bytesPerRun).toBeLessThan(1_000);
    } finally {
      project.remove();
    }
  });
});
