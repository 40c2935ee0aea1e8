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

/** Resolves when something is so, looking once a turn of the event loop. */
export async function until(isSo: () => unknown): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`It is still not so that ${String(isSo)}`);
    await turn();
  }
}

/** Of what was logged, without stacks. */
export const firstLines = (lines: string[]) => lines.map((line) => line.split('\n')[0]);
