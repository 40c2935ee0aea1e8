import { Body, Controller, Post } from '@nestjs/common';
import { EventRunner, inTransaction } from 'nestjs-callbacks';
import { DataSource, type EntityManager } from 'typeorm';
import { User } from './database';

@Controller('signup')
export class SignupController {
  constructor(
    private readonly dataSource: DataSource,
    private readonly events: EventRunner,
  ) {}

  @Post()
  async signUp(@Body() { name, email }: { name: string; email: string }) {
    await inTransaction(
      (work) => this.dataSource.transaction(work),
      async (manager: EntityManager) => {
        await manager.insert(User, { name, email });
        await this.events.run('user_joined', name, email); // stored by the same transaction
      },
    );
  }
}
