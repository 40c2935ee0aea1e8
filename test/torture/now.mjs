/**
 * Milliseconds by the one clock that all processes of a machine share. `performance.timeOrigin` is each process's own
 * reading: one that is held up between the two that it is made of is late by 20 ms and more for all its life, and what it
 * has stored seems to have been performed before.
 */
export const now = () => Number(process.hrtime.bigint()) / 1e6;
