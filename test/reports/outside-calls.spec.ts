/** What `reportsOutsideCalls` promises: callbacks that call somebody while a transaction is open are named. */
import { createServer, get, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Injectable } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Callback, EventDeliveries, inTransaction } from 'nestjs-callbacks';
import { memoryEngine } from 'nestjs-callbacks/testing';
import { closeApps, startApp } from '../support/app.js';
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
});
