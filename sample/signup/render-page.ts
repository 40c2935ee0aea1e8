import {
  type ArgumentsHost,
  Catch,
  type CallHandler,
  type ExceptionFilter,
  type ExecutionContext,
  HttpException,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import type { Response } from 'express';
import { map } from 'rxjs';
import { type Answer, signupPage } from './signup-page.js';

/** Turns what the handler returns into the page. */
@Injectable()
export class RenderPage implements NestInterceptor<Answer, string> {
  intercept(_context: ExecutionContext, next: CallHandler<Answer>) {
    return next.handle().pipe(map((answer) => signupPage(answer)));
  }
}

/** Turns what the handler throws into the same page, with the status and with what had been typed. */
@Catch(HttpException)
export class RenderProblem implements ExceptionFilter<HttpException> {
  catch(problem: HttpException, host: ArgumentsHost) {
    const http = host.switchToHttp();
    const answer = problem.getResponse() as { message: string | string[]; happened?: Answer['happened'] };
    const page = signupPage({
      problem: [answer.message].flat().join('. '),
      happened: answer.happened,
      typed: http.getRequest<{ body?: Record<string, unknown> }>().body,
    });
    http.getResponse<Response>().status(problem.getStatus()).type('html').send(page);
  }
}
