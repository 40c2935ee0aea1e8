import { loadedCopies } from '../copies/shared.js';
import { SafeLogger } from '../reports/safe-logger.js';

/**
 * Warns of several copies of this package in the process. It is said before Nest makes anything that needs an
 * `EventRunner`: that of another copy is one that it does not find.
 */
export function warnOfCopies(): void {
  const { places, isShared } = loadedCopies();
  if (places.length < 2) return;
  const result = isShared
    ? 'Decorators, definitions and transactions of all of them count, but each has its own EventsModule and EventRunner.'
    : 'They are of versions that know nothing of each other: a @Callback() of the one is not called by the other, and ' +
      'inTransaction() of the one is none for the other.';
  new SafeLogger('EventsModule').warn(
    `There are ${places.length} copies of nestjs-callbacks in this process: ${places.join(', ')}. ${result} Keep one: ` +
      'npm ls nestjs-callbacks says who brings them, and a library must have it as a peer dependency.',
  );
}
