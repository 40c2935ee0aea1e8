import type { EventsInspector } from '../index.js';
import type { Row } from './memory/row.js';
import type { Recorder } from './recorder.js';
import type { TestKit } from './test-kit.js';

/** The parts of an application under test that know what has not come yet. */
interface Watched {
  readonly inspector: EventsInspector;
  readonly recorder: Recorder;
  /** Absent where the application keeps its own engine. */
  readonly memory: TestKit['memory'];
}

/** Says what there is to wait for until a callback is called. */
export function waitingFor(id: string, watched: Watched): string[] {
  const { due, later, paused } = deliveriesTo(id, watched);
  const begins = watched.inspector.running.filter((name) => name.startsWith(`${id} (`) && !name.includes('(durable'));
  return [
    due > 0 ? `${due === 1 ? '1 delivery waits' : `${due} deliveries wait`}: await events.settled() first.` : '',
    later > 0
      ? `${later === 1 ? '1 delivery is' : `${later} deliveries are`} not due yet: move the time, by await events.advance(ms), and then await events.settled().`
      : '',
    paused > 0
      ? `${paused === 1 ? '1 delivery waits' : `${paused} deliveries wait`} as the callback is paused: await EventDeliveries.resume({ callback: '${id}' }) first.`
      : '',
    begins.length > 0 ? `What still waits: ${begins.join(', ')}. Await events.settled() first.` : '',
  ];
}

interface Uncalled {
  readonly due: number;
  readonly later: number;
  readonly paused: number;
}

/** How many deliveries a callback has not been called for: those that are due, those that are not yet, those that are paused. */
function deliveriesTo(id: string, { inspector, recorder, memory }: Watched): Uncalled {
  if (!memory) {
    const events = inspector.callbacks.filter(({ callback }) => callback === id).map(({ event }) => event);
    return { due: recorder.uncalled(id, events), later: 0, paused: 0 };
  }
  const called = new Set(recorder.calls.map((call) => call.callback === id && call.id));
  const isOpen = ({ state, id: delivery, givenId = delivery }: Row) =>
    state === 'waiting' || (state === 'running' && !called.has(givenId));
  const rows = memory.store.rows.filter((row) => row.callback === id && isOpen(row));
  const isPaused = (row: Row) => row.state === 'waiting' && memory.store.pauses.has(row);
  const paused = rows.filter(isPaused).length;
  const later = rows.filter((row) => row.since > memory.clock.now() && !isPaused(row)).length;
  return { due: rows.length - later - paused, later, paused };
}
