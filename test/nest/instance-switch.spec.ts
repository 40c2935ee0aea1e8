/** Request-scoped instances that this package makes itself, for speed, against those that Nest makes. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { Inject, Injectable, Optional, Scope } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { Callback, type CurrentEvent } from 'nestjs-callbacks';
import { closeApps, startApp } from '../support/app.js';

const SWITCH = 'NESTJS_CALLBACKS_INSTANCES';
afterEach(async () => {
  delete process.env[SWITCH];
  await closeApps();
});

let made: string[];
let seen: unknown[];

@Injectable()
class Clock {}

@Injectable({ scope: Scope.REQUEST })
class Tenant {
  constructor(
    readonly clock: Clock,
    @Inject(REQUEST) readonly current: CurrentEvent,
  ) {
    made.push('Tenant');
  }
}

@Injectable({ scope: Scope.REQUEST })
class Ledger {
  constructor(readonly tenant: Tenant) {
    made.push('Ledger');
  }
}

@Injectable({ scope: Scope.TRANSIENT })
class Draft {}

/** Takes an instance that exists once, two of the run, one of them by way of the other, and a value. */
@Injectable()
class Bookings {
  constructor(
    readonly ledger: Ledger,
    readonly tenant: Tenant,
    readonly clock: Clock,
    @Inject('TEXT') readonly text: string,
  ) {}

  @Callback('booked') first(amount: number) {
    const { ledger, tenant, clock, text } = this;
    const { event, arguments: args } = tenant.current;
    seen.push({ isShared: ledger.tenant === tenant, isOne: tenant.clock === clock, text, event, args, amount });
  }

  @Callback('booked') second() {
    seen.push({ isSame: seen.push(this) && this });
  }
}

/** Takes what only Nest can make. */
@Injectable()
class Drafts {
  constructor(
    readonly tenant: Tenant,
    readonly draft: Draft,
    @Optional() @Inject('NOTHING') readonly nothing?: string,
  ) {}

  @Callback('drafted') draw() {
    seen.push([this.tenant.constructor.name, this.draft.constructor.name, this.nothing]);
  }
}

async function outcome(asksNest: boolean) {
  [made, seen] = [[], []];
  if (asksNest) process.env[SWITCH] = 'nest';
  const providers = [Clock, Tenant, Ledger, Draft, Bookings, Drafts, { provide: 'TEXT', useValue: 'text' }];
  const { events } = await startApp({ providers });
  await events.run('booked', 5);
  const [facts, one, again] = seen as [object, object, { isSame: object }];
  const isShared = one === again.isSame;
  seen = [];
  await events.run('booked', 7);
  const isAnother = seen[1] !== one;
  seen = [];
  await events.run('drafted');
  return { facts, isShared, isAnother, drafted: seen, made };
}

describe('A request-scoped instance', () => {
  it('is as Nest makes it: shared within a run, another in the next, with the same dependencies', async () => {
    const ours = await outcome(false);
    const nests = await outcome(true);
    expect(ours).toEqual(nests);
    expect(ours).toMatchObject({
      facts: { isShared: true, isOne: true, text: 'text', event: 'booked', args: [5], amount: 5 },
      isShared: true,
      isAnother: true,
      drafted: [['Tenant', 'Draft', undefined]],
    });
  });

  it('is made by Nest alone when the switch says so', async () => {
    const { events: ours } = await startApp({
      providers: [Clock, Tenant, Ledger, Bookings, { provide: 'TEXT', useValue: '' }],
    });
    // Nest 11 knows what a class depends on once it has made an instance of it.
    await ours.run('booked', 0);
    [made, seen] = [[], []];
    const pending = ours.run('booked', 1);
    // At once, where Nest needs promises.
    expect(made).toEqual(['Tenant', 'Ledger']);
    await pending;

    process.env[SWITCH] = 'nest';
    const { events } = await startApp({
      providers: [Clock, Tenant, Ledger, Bookings, { provide: 'TEXT', useValue: '' }],
    });
    await events.run('booked', 0);
    [made, seen] = [[], []];
    const asked = events.run('booked', 1);
    expect(made).toEqual([]);
    await asked;
    expect(made.toSorted()).toEqual(['Ledger', 'Tenant']);
  });
});
