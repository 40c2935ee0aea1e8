/**
 * Your events, by name: extend it, and every `@Callback()` and `run()` is checked by the compiler. While it is empty,
 * any name and any arguments are taken.
 *
 * @example
 * declare module 'nestjs-callbacks' {
 *   interface EventMap {
 *     user_joined: [name: string, email: string];
 *   }
 * }
 */
export interface EventMap {}
