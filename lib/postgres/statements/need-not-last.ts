/**
 * A condition that is always true, of a statement that says only that somebody lives: its commit does not wait for a disk or a
 * standby. A crash of the server may undo it, and the next one says the same. Whoever waited might be taken for dead.
 */
export const NEED_NOT_LAST = `(select set_config('synchronous_commit', 'off', true)) is not null`;
