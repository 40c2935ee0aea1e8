import {
  type CallHandler,
  type ExecutionContext,
  HttpException,
  Injectable,
  InternalServerErrorException,
  type NestInterceptor,
} from '@nestjs/common';
import { catchError, defer, from, lastValueFrom, map, type Observable } from 'rxjs';
import { type Step, WhatHappened } from '../what-happened.js';

/** Adds to every answer, and to every error, what each callback did: after a failure some of it was done already. */
@Injectable()
export class TellWhatHappened implements NestInterceptor<object, object> {
  constructor(private readonly whatHappened: WhatHappened) {}

  intercept(_context: ExecutionContext, next: CallHandler<object>): Observable<object> {
    const steps: Step[] = [];
    return defer(() => from(this.whatHappened.during(steps, () => lastValueFrom(next.handle())))).pipe(
      map((answer) => ({ ...answer, happened: steps })),
      catchError((error: unknown) => {
        const known = error instanceof HttpException ? error : new InternalServerErrorException();
        const body = known.getResponse();
        throw new HttpException(
          { ...(typeof body === 'string' ? { message: body } : body), happened: steps },
          known.getStatus(),
          { cause: error },
        );
      }),
    );
  }
}
