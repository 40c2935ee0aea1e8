import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module';

async function bootstrap() {
  const app = await NestFactory.create(AppModule);
  app.enableShutdownHooks(); // Ctrl-C waits for what runs
  await app.listen(process.env.PORT ?? 3000);
}
void bootstrap();
