import {
  Body,
  Controller,
  Get,
  Header,
  HttpCode,
  Post,
  StandardSchemaValidationPipe,
  UseFilters,
  UseInterceptors,
} from '@nestjs/common';
import { EventRunner } from 'nestjs-callbacks';
import { type SignUp, signUp } from './sign-up.js';
import { RenderPage, RenderProblem } from './render-page.js';
import { TellWhatHappened } from './tell-what-happened.interceptor.js';

/** The same sign-up for people: a form that needs no JavaScript, and a page that says what came of it. */
@Controller()
@UseFilters(RenderProblem)
@UseInterceptors(RenderPage, TellWhatHappened)
export class SignupPageController {
  constructor(private readonly events: EventRunner) {}

  @Get()
  @Header('content-type', 'text/html; charset=utf-8')
  show() {
    return {};
  }

  @Post()
  @HttpCode(200)
  @Header('content-type', 'text/html; charset=utf-8')
  async signUp(@Body({ schema: signUp, pipes: [StandardSchemaValidationPipe] }) { name, email }: SignUp) {
    await this.events.run('user_joined', name, email);
    return { message: `Welcome, ${name}` };
  }
}
