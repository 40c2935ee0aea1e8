import { type INestApplication, type LoggerService, Module, type ModuleMetadata, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { EventRunner, EventsModule, type EventsOptions } from 'nestjs-callbacks';

/** What was logged, as `level: message` and what came with it. */
export class Log implements LoggerService {
  readonly lines: string[] = [];
  log = (message: string) => this.lines.push(`log: ${message}`);
  warn = (message: string) => this.lines.push(`warn: ${message}`);
  error = (message: string, stack?: string) => this.lines.push(`error: ${message}\n${stack}`);
  debug = (message: string, stack?: string) => this.lines.push(`debug: ${message}\n${stack}`);

  of(level: 'log' | 'warn' | 'error' | 'debug'): string[] {
    return this.lines.filter((line) => line.startsWith(`${level}: `)).map((line) => line.slice(level.length + 2));
  }
}

export interface StartedApp {
  readonly app: INestApplication;
  readonly events: EventRunner;
  readonly log: Log;
}

const started: INestApplication[] = [];

/** A Nest application around some providers, or around whole modules, with events. */
export async function startApp(
  what: Type[] | ModuleMetadata,
  options?: EventsOptions,
  log: Log = new Log(),
): Promise<StartedApp> {
  const { imports = [], ...metadata } = Array.isArray(what) ? { providers: what } : what;

  @Module({ ...metadata, imports: [options ? EventsModule.forRoot(options) : EventsModule, ...imports] })
  class AppModule {}

  const testing = await Test.createTestingModule({ imports: [AppModule] })
    .setLogger(log)
    .compile();
  const app = testing.createNestApplication();
  started.push(app);
  await app.init();
  return { app, events: app.get(EventRunner), log };
}

/** Closes what a test started; for `afterEach`. */
export async function closeApps(): Promise<void> {
  await Promise.all(started.splice(0).map((app) => app.close()));
}

/** A promise and its two ends. */
export function deferred() {
  let resolve!: () => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<void>((...ends) => ([resolve, reject] = ends));
  return { promise, resolve, reject };
}

/** A turn of the event loop: all that is ready to happen has happened. */
export const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

const PATIENCE_MS = 20_000;
const LONGEST_PAUSE_MS = 20;
// What a spec fakes afterwards does not reach this.
const { setTimeout: later } = globalThis;

/** Resolves when something is so: looks at each of some turns of the event loop, then after pauses that grow. */
export async function until(isSo: () => unknown): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (let looks = 1; !(await isSo()); looks++) {
    if (performance.now() > deadline) {
      throw new Error(`After ${PATIENCE_MS / 1_000} s and ${looks} looks it is still not so that ${String(isSo)}`);
    }
    const pauseMs = Math.min(looks - 20, LONGEST_PAUSE_MS);
    await (pauseMs <= 0 ? turn() : new Promise((resolve) => later(resolve, pauseMs)));
  }
}

/** Of what was logged, without stacks. */
export const firstLines = (lines: string[]) => lines.map((line) => line.split('\n')[0]);
