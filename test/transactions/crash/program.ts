/**
 * Sign-ups in a process that is killed: each prints a line when it has come to where it is to die, and waits there. The
 * arguments: a data layer, where its database is, and for each sign-up whether it dies before its commit or after.
 */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Callback, EventRunner, EventsModule, inTransaction } from 'nestjs-callbacks';
import { lockFolder, postgres } from 'nestjs-callbacks/postgres';
import { EMBEDDED_LAYERS, LAYERS } from '../../support/layers.js';

const [, , name, place, ...moments] = process.argv;
const isEmbedded = !place.startsWith('postgres');

async function connect() {
  if (!isEmbedded) {
    const layer = await LAYERS.find((one) => one.name === name)!.open(place);
    return { layer, engine: postgres({ connectionString: place }) };
  }
  await lockFolder(place);
  const { PGlite } = await import('@electric-sql/pglite');
  const pglite = await PGlite.create(place);
  return { layer: await EMBEDDED_LAYERS.find((one) => one.name === name)!.open(pglite), engine: postgres({ pglite }) };
}

const { layer, engine } = await connect();

@Injectable()
class Emails {
  @Callback('user_joined', { delivery: 'durable' })
  greet() {}
}

@Module({ imports: [EventsModule.forRoot({ engine, work: false })], providers: [Emails] })
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error'] });

async function signUp(moment: string) {
  const dieHere = () => {
    console.log(`here, ${moment} the commit`);
    return new Promise<never>(() => setInterval(() => {}, 1_000));
  };
  const user = `${moment} with ${name}`;
  await inTransaction(
    (work) => layer.transaction<void>(work),
    async (tx: object) => {
      await layer.query(tx, `insert into users (name, email) values ('${user}', '')`);
      await app.get(EventRunner).run('user_joined', user);
      if (moment === 'before') await dieHere();
    },
  );
  await dieHere();
}

await Promise.all(moments.map(signUp));
