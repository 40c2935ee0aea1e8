import { createRequire } from 'node:module';
import { join } from 'node:path';
import { NestFactory } from '@nestjs/core';
import { EventRunner } from 'nestjs-callbacks';
import { AppModule } from './app.module.js';

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
  const required = createRequire(join(process.cwd(), 'anywhere.js'))('nestjs-callbacks') as { EventRunner: unknown };
  const imported = (await import('nestjs-callbacks')) as { EventRunner: unknown };
  console.log('one class:', required.EventRunner === EventRunner && imported.EventRunner === EventRunner);
  await app.close();
  console.log('closed');
}

void main();
