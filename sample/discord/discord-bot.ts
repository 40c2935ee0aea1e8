import { Injectable, Logger } from '@nestjs/common';
import { Callback, currentEvent } from 'nestjs-callbacks';

/** Durable: a slow or failing Discord never fails a sign-up, nor keeps it waiting, and is told when it is back. */
@Injectable()
export class DiscordBot {
  private readonly logger = new Logger('DiscordBot');
  private readonly webhook = process.env.DISCORD_WEBHOOK_URL;

  @Callback('user_joined', { delivery: 'durable', timeoutMs: 5_000 })
  async announce(name: string) {
    // Nobody is to be pinged by a user who calls himself @everyone.
    const message = { content: `${name} has joined`, allowed_mentions: { parse: [] } };
    if (!this.webhook) {
      this.logger.log(`Would send ${JSON.stringify(message)} (set DISCORD_WEBHOOK_URL to do it)`);
      return;
    }
    const response = await fetch(this.webhook, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(message),
      signal: currentEvent()?.signal,
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`Discord answered ${response.status} ${response.statusText}`);
  }
}
