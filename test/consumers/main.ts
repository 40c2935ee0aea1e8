import { createRequire } from 'node:module';
import { join } from 'node:path';
import { NestFactory } from '@nestjs/core';
import { EventRunner } from 'nestjs-callbacks';
import { AppModule, Newsletter } from './app.module.js';

async function main() {
  const app = await NestFactory.create(AppModule);
  await app.listen(0, '127.0.0.1');
  const post = async (name: string) => {
    const response = await fetch(`${await app.getUrl()}/signup`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify({ name, email: 'ada@example.org' }),
    });
    return `${response.status} ${((await response.json()) as { message: string }).message}`;
  };
  console.log('first:', await post('Ada'));
  console.log('second:', await post('Eve'));
  while (app.get(Newsletter).subscribed.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  console.log('durable:', app.get(Newsletter).subscribed.join());
  const required = createRequire(join(process.cwd(), 'anywhere.js'))('nestjs-callbacks') as { EventRunner: unknown };
  const imported = (await import('nestjs-callbacks')) as { EventRunner: unknown };
  console.log('one class:', required.EventRunner === EventRunner && imported.EventRunner === EventRunner);
  await app.close();
  console.log('closed');
}

void main();
