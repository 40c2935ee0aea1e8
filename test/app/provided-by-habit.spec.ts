/** The classes that EventsModule provides, listed in `providers` by habit: the message says to remove them. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { EventDeliveries, EventRunner, EventsHealth, EventsInspector } from 'nestjs-callbacks';
import { closeApps, startApp } from '../support/app.js';

afterEach(closeApps);

const PROVIDED = [EventRunner, EventDeliveries, EventsInspector, EventsHealth];

describe.each(PROVIDED)('%p in the providers of a module', (type) => {
  const message = `${type.name} was made without what it needs, as it is in the providers of a module. Remove it from providers: EventsModule provides it.`;
  const refused = { code: 'EVENTS_CONFIGURED_TWICE', message };

  it('A20: fails the boot', async () => {
    await expect(startApp([type])).rejects.toMatchObject(refused);
    await expect(startApp({ providers: [{ provide: type, useClass: type as never }] })).rejects.toMatchObject(refused);
    await expect(startApp({ providers: [{ provide: 'other', useClass: type as never }] })).rejects.toMatchObject(
      refused,
    );
  });

  it('A20: fails the boot beside a class that wants it', async () => {
    @Injectable()
    class SignUp {
      constructor(readonly events: EventRunner) {}
    }
    @Module({ providers: [SignUp, type] })
    class SignUpModule {}
    await expect(startApp({ imports: [SignUpModule] })).rejects.toMatchObject(refused);
  });

  it('A20: fails the loading of a module later', async () => {
    @Module({ providers: [type] })
    class Later {}
    const { app } = await startApp([]);
    await expect(app.get(LazyModuleLoader).load(() => Later)).rejects.toMatchObject(refused);
  });

  it('A20: by a subclass, fails the boot, too', async () => {
    @Injectable()
    class Own extends (type as new () => object) {}
    await expect(startApp([Own])).rejects.toThrow('Own was made without what it needs');
  });
});
