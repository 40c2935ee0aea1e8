import type {} from 'nestjs-callbacks';

/** The events of this application: the one file that those who run them and those who answer them share. */
declare module 'nestjs-callbacks' {
  interface EventMap {
    user_joined: [name: string, email: string];
  }
}
