import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const logger = new Logger('Sample');
const port = Number(process.env.PORT || 3000);
if (!Number.isInteger(port) || port < 0 || port > 65_535) {
  logger.error(`PORT is ${process.env.PORT}, which is no port. Choose one, as in: PORT=3001 npm start`);
  process.exit(2);
}

const app = await NestFactory.create(AppModule, { abortOnError: false }).catch(fail);
app.enableShutdownHooks();
await app.init().catch(fail);
await app
  .listen(port)
  .catch((error: Error) => fail(new Error(`${error.message}. Choose another port, as in: PORT=3001 npm start`)));
const url = `http://localhost:${app.getHttpServer().address().port}`;
logger.log(
  `Open ${url}, or try: curl ${url}/signup -H 'content-type: application/json' -d '{"name":"Ada","email":"ada@example.org"}'`,
);
logger.log(`What became of e-mails and announcements: ${url}/deliveries`);

function fail(error: Error): never {
  logger.error(error.message);
  process.exit(1);
}
