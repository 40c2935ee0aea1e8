// What a fresh Nest application gets from scripts/check-consumers.mjs, on Nest 11 (CommonJS) and Nest 12 (ES modules).
import { Body, ConflictException, Controller, Injectable, Module, Post } from '@nestjs/common';
import { Callback, EventRunner, EventsModule } from 'nestjs-callbacks';
import { postgres } from 'nestjs-callbacks/postgres';
import { memoryEngine } from 'nestjs-callbacks/testing';

declare module 'nestjs-callbacks' {
  interface EventMap {
    user_joined: [name: string, email: string];
  }
}

@Injectable()
export class Users {
  readonly emails: string[] = [];

  @Callback('user_joined')
  async add(_name: string, email: string) {
    if (this.emails.includes(email)) throw new ConflictException(`${email} has signed up already`);
    this.emails.push(email);
  }
}

@Injectable()
export class Emails {
  readonly greeted: string[] = [];

  @Callback('user_joined', { after: Users })
  async greet(name: string) {
    this.greeted.push(name);
  }
}

@Injectable()
export class DiscordBot {
  @Callback('user_joined', { delivery: 'background' })
  announce() {
    throw new Error('Discord is down');
  }
}

@Injectable()
export class Newsletter {
  readonly subscribed: string[] = [];

  @Callback('user_joined', { delivery: 'durable' })
  async subscribe(name: string) {
    this.subscribed.push(name);
  }
}

@Controller('signup')
export class SignupController {
  constructor(private readonly events: EventRunner) {}

  @Post()
  async signUp(@Body() { name, email }: { name: string; email: string }) {
    await this.events.run('user_joined', name, email);
    return { message: `Welcome, ${name}` };
  }
}

const isTest = process.env.JEST_WORKER_ID !== undefined || process.env.VITEST !== undefined;

@Module({
  imports: [
    EventsModule.forRoot({ strict: true, engine: isTest ? memoryEngine() : postgres({ folder: 'data/deliveries' }) }),
  ],
  controllers: [SignupController],
  providers: [Emails, Users, DiscordBot, Newsletter],
})
export class AppModule {}
