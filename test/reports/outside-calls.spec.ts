/** What `reportsOutsideCalls` promises: callbacks that call somebody while a transaction is open are named. */
import { createServer, get, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Injectable } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Callback, EventDeliveries, inTransaction } from 'nestjs-callbacks';
import { memoryEngine } from 'nestjs-callbacks/testing';
import { closeApps, startApp } from '../support/app.js';
import { Project } from '../support/child-process.js';
import { open } from '../transactions/any-transaction.js';

afterEach(closeApps);

describe('reportsOutsideCalls', () => {
  @Injectable()
  class Webhooks {
    static address: string;
    constructor(private readonly deliveries: EventDeliveries) {}

    @Callback('user_joined')
    async fetches() {
      await (await fetch(`${Webhooks.address}/hook`)).text();
    }
    @Callback('user_joined', { optional: true })
    async requests() {
      const [response] = await once(get(`${Webhooks.address}/hook`), 'response');
      response.resume();
    }
    @Callback('user_joined')
    async asks() {
      await this.deliveries.counts();
    }
    @Callback('user_joined', { delivery: 'after-commit' })
    async waits() {
      await this.fetches();
    }
    @Callback('user_joined')
    minds() {}
  }

  it('names the callbacks that call somebody while a transaction is open, once each', async () => {
    // No connection is kept: one that the server has closed meanwhile would fail the next call.
    const answer = (response: ServerResponse) => response.writeHead(200, { connection: 'close' }).end('thanks');
    const server = createServer((_, response) => answer(response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    Webhooks.address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      for (const reportsOutsideCalls of [true, false]) {
        const { events, log } = await startApp([Webhooks], { reportsOutsideCalls, engine: memoryEngine() });
        await events.run('user_joined');
        expect(log.of('warn')).toEqual([]);
        await inTransaction(open, () => events.run('user_joined'));
        await inTransaction(open, async () => void (await events.runSettled('user_joined')));
        const why =
          'while the transaction was open that "user_joined" was run in: that waits for the answer, with all that it ' +
          "has locked. Give the callback delivery: 'durable' or 'after-commit'.";
        const told = [
          `Webhooks.fetches called GET ${Webhooks.address} ${why}`,
          `Webhooks.requests called GET ${Webhooks.address} ${why}`,
          `Webhooks.asks called EventDeliveries.counts() ${why}`,
        ];
        expect(log.of('warn')).toEqual(reportsOutsideCalls ? told : []);
      }
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  it('hears of fetch() though an application without the option has closed before, in a process that collects garbage', async () => {
    const project = new Project();
    try {
      project.write(
        'program.ts',
        `import 'reflect-metadata';
        import { createServer } from 'node:http';
        import { Injectable, Module } from '@nestjs/common';
        import { NestFactory } from '@nestjs/core';
        import { Callback, EventRunner, EventsModule, inTransaction } from 'nestjs-callbacks';

        const server = createServer((_, response) => response.end('thanks')).listen(0, '127.0.0.1');
        await new Promise((resolve) => server.once('listening', resolve));
        @Injectable()
        class Webhooks {
          @Callback('x') async calls() { await (await fetch('http://127.0.0.1:' + server.address().port)).text(); }
        }
        const start = (reportsOutsideCalls) => {
          class AppModule {}
          Module({ imports: [EventsModule.forRoot({ reportsOutsideCalls })], providers: [Webhooks] })(AppModule);
          return NestFactory.createApplicationContext(AppModule, { logger: ['warn'] });
        };
        await (await start(false)).close();
        await new Promise((resolve) => setTimeout(resolve));
        gc();
        // Node loads its fetch() before it knows that the channel is gone.
        void globalThis.Request;
        await new Promise((resolve) => setTimeout(resolve, 20));
        const app = await start(true);
        await inTransaction((work) => work({}), () => app.get(EventRunner).run('x'));
        await app.close();
        server.close();
        server.closeAllConnections();`,
      );
      const { output } = await project.run('program.js', { flags: ['--expose-gc'] });
      expect(output).toContain('Webhooks.calls called GET http://127.0.0.1:');
    } finally {
      project.remove();
    }
  });
});
