import { Injectable } from '@nestjs/common';
import { Callback, type CallbackFailure, type EventsOptions } from 'nestjs-callbacks';
import { Log, startApp, turn } from '../support/app.js';

/** A transaction of something that no data layer here knows. */
export const open = async <T>(work: (tx: object) => Promise<T>): Promise<T> => work({});

export const taken = Object.assign(new Error('taken'), { code: '40001' });

@Injectable()
export class Reactions {
  readonly ran: string[] = [];
  onCheck: () => unknown = () => {};
  onAnnounce: () => unknown = () => {};
  onBackground: () => unknown = () => {};

  @Callback('user_joined')
  check(name: string) {
    this.ran.push(`check ${name}`);
    return this.onCheck();
  }

  @Callback('user_joined', { delivery: 'after-commit' })
  announce(name: string) {
    this.ran.push(`announce ${name}`);
    return this.onAnnounce();
  }

  @Callback('user_joined', { delivery: 'after-rollback' })
  regret(name: string) {
    this.ran.push(`regret ${name}`);
  }

  @Callback('user_joined', { delivery: 'after-commit' })
  async tell(name: string) {
    await turn();
    this.ran.push(`tell ${name}`);
  }

  @Callback('user_joined', { delivery: 'background' })
  count(name: string) {
    this.ran.push(`count ${name}`);
    return this.onBackground();
  }
}

export async function start(options: EventsOptions = {}, log = new Log()) {
  const failures: CallbackFailure[] = [];
  const started = await startApp([Reactions], { ...options, onError: (failure) => failures.push(failure) }, log);
  return { ...started, reactions: started.app.get(Reactions), failures };
}
