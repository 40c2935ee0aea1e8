import { stripVTControlCharacters } from 'node:util';
import { Injectable, type ModuleMetadata, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Callback, EventDeliveries, EventRunner } from 'nestjs-callbacks';
import { TestEvents, TestEventsModule, type TestEventsOptions } from 'nestjs-callbacks/testing';
import { Log, turn } from './app.js';

export const HOUR_MS = 60 * 60 * 1_000;

const open: { close(): Promise<unknown> }[] = [];

/** What callbacks have done. */
export const ran: string[] = [];

/** Closes what a test has started, and forgets what ran; for `afterEach`. */
export async function closeAll(): Promise<void> {
  await Promise.all(open.splice(0).map((app) => app.close()));
  ran.length = 0;
}

/** An application under test; not initialised. */
export async function compile(what: Type[] | ModuleMetadata, options?: TestEventsOptions) {
  const { imports = [], ...metadata } = Array.isArray(what) ? { providers: what } : what;
  const kit = options ? TestEventsModule.forRoot(options) : TestEventsModule;
  const app = await Test.createTestingModule({ imports: [...imports, kit], ...metadata })
    .setLogger(new Log())
    .compile();
  open.push(app);
  return { app, events: app.get(TestEvents), run: app.get(EventRunner), deliveries: app.get(EventDeliveries) };
}

export async function start(what: Type[] | ModuleMetadata, options?: TestEventsOptions) {
  const compiled = await compile(what, options);
  await compiled.app.init();
  return compiled;
}

/** What a matcher, or whatever else, complains about. */
export async function complaint(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    return stripVTControlCharacters((error as Error).message);
  }
  throw new Error('It did not complain.');
}

export const down = new Error('the mail server is down');

@Injectable()
export class Users {
  @Callback('user_joined') add(name: string) {
    ran.push(`add ${name}`);
    return name.length;
  }
}
@Injectable()
export class Emails {
  @Callback('user_joined', { delivery: 'durable', retry: { attempts: 3, delayMs: HOUR_MS } })
  async greet(name: string) {
    await turn();
    ran.push(`greet ${name}`);
  }
}
@Injectable()
export class Bot {
  @Callback('user_joined', { delivery: 'background' }) async announce(name: string) {
    await turn();
    ran.push(`announce ${name}`);
  }
}
export class UserLeft {
  constructor(readonly name: string) {}
}
