import { show } from '../core/seams.js';
import { EventsError } from '../index.js';

/** Whole, however long: somebody is to copy it. */
const quoted = (name: string) => `'${name}'`;

export const testingProblem = (message: string) => new EventsError('EVENTS_TESTING_INVALID', message);

export const testingInvalid = (where: string, found: string, remedy: string) =>
  testingProblem(`${where} was given ${found}. ${remedy}`);

export const importedTwice = (times: number) =>
  testingProblem(`TestEventsModule is imported ${times} times. Import it once, beside the root module.`);

export const callbackUnknown = (where: string, id: unknown, known: readonly string[]) =>
  testingInvalid(
    where,
    `${show(id)}, but no callback has that id`,
    known.length > 0
      ? `There ${known.length === 1 ? 'is' : 'are'} ${known.map(quoted).join(', ')}.`
      : 'There are no callbacks: does the module provide them, or import what does?',
  );

export const eventUnanswered = (where: string, event: string, known: readonly string[]) =>
  testingInvalid(
    where,
    `"${event}", which no callback answers`,
    known.length > 0 ? `There are callbacks of ${known.map(quoted).join(', ')}.` : 'There are no callbacks at all.',
  );

export const clockMissing = () =>
  testingProblem(
    'TestEvents.advance() was called, but with keepsEngine the time is the real one. Leave that option out, or set short delays.',
  );

export const notStarted = (doing: string, open: readonly string[]) =>
  new EventsError(
    'EVENTS_NOT_SETTLED',
    `${doing}, but the application has not started, so nobody performs ${open.join(', ')}. ` +
      'Call init() first, as in: const app = await (await Test.createTestingModule({ … }).compile()).init();',
  );

export const notWorking = (open: readonly string[]) =>
  new EventsError(
    'EVENTS_NOT_SETTLED',
    `This application does not perform ${open.join(', ')}: it is closing, or its option work is false. ` +
      'Wait before it closes, and in an application that works.',
  );

/** @param movedMs how far the test's time has moved while it waited */
export const notSettled = (how: 'settled' | 'advance', timeoutMs: number, movedMs: number, open: readonly string[]) =>
  new EventsError(
    'EVENTS_NOT_SETTLED',
    `${how}() has waited for ${timeoutMs} ms${movedMs > 0 ? `, and moved the time on by ${hours(movedMs)}` : ''}: ` +
      `there still ${open.length === 1 ? 'is' : 'are'} ${open.join(', ')}. ` +
      `Let it settle, fake what it waits for, or wait longer: ${how === 'settled' ? 'settled(' : 'advance(ms, '}{ timeoutMs }).` +
      (how === 'settled' && movedMs > 0 ? ' For what runs itself again for ever there is advance().' : ''),
  );

const hours = (ms: number) => (ms < 3_600_000 ? `${(ms / 1_000).toFixed(1)} s` : `${(ms / 3_600_000).toFixed(1)} h`);
