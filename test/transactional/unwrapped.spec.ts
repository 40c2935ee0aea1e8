/** B4: `@Transactional()` with an adapter that `withEvents()` has not wrapped. */
import { beforeAll, describe, expect, it } from '@jest/globals';
import { runInProcess } from '../support/child-process.js';

// In a process of its own: Jest cannot load @nestjs-cls/transactional beside Nest 12.
const program = `
  import 'reflect-metadata';
  import { Module } from '@nestjs/common';
  import { NestFactory } from '@nestjs/core';
  import { ClsPluginTransactional } from '@nestjs-cls/transactional';
  import { ClsModule } from 'nestjs-cls';
  import { Callback, EventsModule } from 'nestjs-callbacks';
  import { memoryEngine } from 'nestjs-callbacks/testing';
  import { withEvents } from 'nestjs-callbacks/transactional';

  const adapter = () => ({
    connection: {},
    optionsFactory: (connection) => ({
      wrapWithTransaction: async (_options, work, setTx) => (setTx(connection), work()),
      getFallbackInstance: () => connection,
    }),
  });
  const plugin = (adapter, connectionName) => new ClsPluginTransactional({ adapter, connectionName });
  class Greeting { @Callback('x') inline() {} }
  class Emails { @Callback('x', { delivery: 'durable' }) greet() {} }
  class Announcements { @Callback('x', { delivery: 'after-commit' }) announce() {} }

  async function warningsWith(provider, ...plugins) {
    const warnings = [];
    const nothing = () => {};
    const logger = { log: nothing, debug: nothing, error: nothing, warn: (message) => warnings.push(message) };
    const imports = [EventsModule.forRoot({ engine: memoryEngine() }), ClsModule.forRoot({ plugins })];
    @Module({ imports, providers: [provider] })
    class AppModule {}
    await (await NestFactory.createApplicationContext(AppModule, { logger })).close();
    return warnings;
  }
  class Adapter {}
  const mistaken = () => {
    try {
      withEvents(Adapter);
    } catch (error) {
      return error.message;
    }
  };
  console.log(JSON.stringify({
    mistaken: mistaken(),
    durable: await warningsWith(Emails, plugin(adapter())),
    afterCommit: await warningsWith(Announcements, plugin(adapter())),
    oneOfTwo: await warningsWith(Emails, plugin(withEvents(adapter()), 'one'), plugin(adapter(), 'other')),
    wrapped: await warningsWith(Emails, plugin(withEvents(adapter()))),
    inline: await warningsWith(Greeting, plugin(adapter())),
  }));
`;

describe('B4: @Transactional() with an adapter that is not wrapped', () => {
  let warnings: Record<string, string[]>;
  beforeAll(async () => {
    const { output } = await runInProcess(program);
    warnings = JSON.parse(output) as typeof warnings;
  });

  it('is warned of at boot, where callbacks depend on transactions', () => {
    const warning =
      '@Transactional() opens transactions (connection "default") that events know nothing of: deliveries are stored beside ' +
      'them and stay when they are rolled back, and after-commit callbacks do not wait. Wrap the adapter: ' +
      "withEvents(adapter), with withEvents from 'nestjs-callbacks/transactional'.";
    expect(warnings).toMatchObject({ durable: [warning], afterCommit: [warning] });
  });

  it('is named, as one of several connections', () => {
    expect(warnings.oneOfTwo).toEqual([expect.stringContaining('(connection "other")')]);
  });

  it('is not warned of where it is wrapped, or where no callback depends on transactions', () => {
    expect(warnings).toMatchObject({ wrapped: [], inline: [] });
  });

  it('C24: a class in place of an adapter is refused, with what makes one', () => {
    expect(warnings.mistaken).toBe(
      'withEvents() was given the function Adapter, which is no adapter of @nestjs-cls/transactional. Pass one that it makes: withEvents(new Adapter({ … })).',
    );
  });
});
