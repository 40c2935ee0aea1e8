import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const port = Number(process.env.PORT ?? 3000);
const logger = new Logger('Sample');

const app = await NestFactory.create(AppModule);
app.enableShutdownHooks();
try {
  await app.listen(port);
  const { port: actual } = app.getHttpServer().address();
  const url = `http://localhost:${actual}`;
  logger.log(
    `Open ${url}, or try: curl ${url}/signup -H 'content-type: application/json' -d '{"name":"Ada","email":"ada@example.org"}'`,
  );
} catch (error) {
  logger.error(
    `Port ${port} is not to be had: ${(error as Error).message}. Choose another, as in: PORT=3001 npm start`,
  );
  await app.close();
  process.exitCode = 1;
}
