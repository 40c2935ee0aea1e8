import type {} from 'nestjs-callbacks';

declare module 'nestjs-callbacks' {
  interface EventMap {
    user_joined: [name: string, email: string];
  }
}
