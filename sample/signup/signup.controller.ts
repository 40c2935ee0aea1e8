import { Body, Controller, Post, StandardSchemaValidationPipe, UseInterceptors } from '@nestjs/common';
import { EventRunner } from 'nestjs-callbacks';
import { type SignUp, signUp } from './sign-up.js';
import { TellWhatHappened } from './tell-what-happened.interceptor.js';

@Controller('signup')
@UseInterceptors(TellWhatHappened)
export class SignupController {
  constructor(private readonly events: EventRunner) {}

  @Post()
  async signUp(@Body({ schema: signUp, pipes: [StandardSchemaValidationPipe] }) { name, email }: SignUp) {
    await this.events.run('user_joined', name, email);
    return { message: `Welcome, ${name}` };
  }
}
