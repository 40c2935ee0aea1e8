import { Controller, Get, Inject, type ModuleMetadata, type Type } from '@nestjs/common';
import { HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { EventsHealth, type EventsHealthOptions, type EventsHealthState, type EventsOptions } from 'nestjs-callbacks';
import { startApp } from './app.js';

/** What `@nestjs/terminus` answers by HTTP. */
export interface HealthAnswer {
  readonly code: number;
  readonly body: {
    readonly status: string;
    readonly details: { readonly events: EventsHealthState };
    readonly error: Partial<Record<string, EventsHealthState>>;
  };
}

/** An application whose `/health` is answered by `@nestjs/terminus`, as in the manual; and how to ask for it. */
export async function startWithEndpoint(
  providers: Type[],
  options: EventsOptions | undefined,
  checked?: EventsHealthOptions,
) {
  @Controller('health')
  class HealthController {
    constructor(
      @Inject(HealthCheckService) private readonly health: HealthCheckService,
      @Inject(EventsHealth) private readonly eventsHealth: EventsHealth,
    ) {}

    @Get()
    check() {
      return this.health.check([() => this.eventsHealth.check('events', checked)]);
    }
  }
  const imports: ModuleMetadata['imports'] = [TerminusModule.forRoot({ logger: false })];
  const started = await startApp({ imports, providers, controllers: [HealthController] }, options);
  await started.app.listen(0, '127.0.0.1');
  const url = await started.app.getUrl();
  const ask = async (): Promise<HealthAnswer> => {
    const response = await fetch(`${url}/health`);
    return { code: response.status, body: (await response.json()) as HealthAnswer['body'] };
  };
  return { ...started, ask };
}
