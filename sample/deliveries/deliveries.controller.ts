import { Body, Controller, Get, Header, Post, Redirect } from '@nestjs/common';
import { EventDeliveries } from 'nestjs-callbacks';
import { deliveriesPage } from './deliveries-page.js';

/** What became of deliveries, and another try for the dead ones. In an application of yours, not for everybody. */
@Controller('deliveries')
export class DeliveriesController {
  constructor(private readonly deliveries: EventDeliveries) {}

  @Get()
  @Header('content-type', 'text/html; charset=utf-8')
  async show() {
    const [counts, dead, waiting] = await Promise.all([
      this.deliveries.counts(),
      this.deliveries.list({ state: 'dead' }),
      this.deliveries.list({ state: 'waiting' }),
    ]);
    return deliveriesPage(counts, dead.found, waiting.found);
  }

  @Post('retry')
  @Redirect('/deliveries', 303)
  async retry(@Body() { event, callback, id }: { event: string; callback: string; id?: string }) {
    await this.deliveries.retry({ event, callback, ...(id && { ids: [id] }) });
  }

  @Post('discard')
  @Redirect('/deliveries', 303)
  async discard(@Body() { event, callback, id }: { event: string; callback: string; id: string }) {
    await this.deliveries.discard({ event, callback, ids: [id] });
  }
}
