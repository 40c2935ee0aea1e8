import { Injectable } from '@nestjs/common';
import { expect, it } from '@jest/globals';
import { Callback, currentEvent, EventDeliveries, inTransaction } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import { startApp, turn, until } from '../support/app.js';
import type { Setting } from './layer-specification.js';

/** Runs in a transaction that nobody awaits: the specification that every data layer keeps. */
export function specifyUnawaited(open: () => Promise<Setting>) {
  it('B1: runs that nobody awaits are stored by the transaction, or roll it back by what they throw', async () => {
    const { layer, engine, query } = await open();
    const failure = new Error('full');
    const greeted: string[] = [];
    @Injectable()
    class Guests {
      @Callback('guest_came') async seat(name: string) {
        await turn();
        await layer.query(currentEvent()!.tx!, `insert into guests (name) values ('${name}')`);
        if (name === 'Grace') throw failure;
      }
      @Callback('guest_came', { delivery: 'durable' }) async greet(name: string) {
        greeted.push(name);
      }
    }
    await query('create table if not exists guests (name text primary key)');
    await query('delete from guests');
    const { app, events } = await startApp([Guests], { engine: postgres({ ...engine, schema: 'unawaited' }) });
    const come = (...names: string[]) =>
      inTransaction(
        (work: (tx: object) => Promise<void>) => layer.transaction(work),
        async () => {
          for (const name of names) void events.run('guest_came', name);
        },
      );
    await come('Ada', 'Alan');
    await expect(come('Edsger', 'Grace')).rejects.toBe(failure);
    await until(async () => {
      const counts = await app.get(EventDeliveries).counts();
      return counts.every(({ waiting, delayed, running }) => waiting + delayed + running === 0);
    });
    expect(greeted.toSorted()).toEqual(['Ada', 'Alan']);
    expect((await query('select name from guests order by name')).rows).toEqual([{ name: 'Ada' }, { name: 'Alan' }]);
    await app.close();
    await layer.close();
  });
}
