import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PrismaPg } from '@prisma/adapter-pg';
import { connectionString } from './connection-string.js';
import { PrismaClient } from './generated/client.js';

@Injectable()
export class Database extends PrismaClient implements OnApplicationShutdown {
  constructor() {
    super({ adapter: new PrismaPg({ connectionString }) });
  }

  onApplicationShutdown() {
    return this.$disconnect();
  }
}
