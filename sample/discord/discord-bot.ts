import { Injectable, Logger } from '@nestjs/common';
import { Callback } from 'nestjs-callbacks';

const TIMEOUT_MS = 5_000;

/** In the background: a slow or failing Discord never fails a sign-up, nor keeps it waiting. */
@Injectable()
export class DiscordBot {
  private readonly logger = new Logger('DiscordBot');
  private readonly webhook = process.env.DISCORD_WEBHOOK_URL;

  @Callback('user_joined', { delivery: 'background' })
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
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`Discord answered ${response.status} ${response.statusText}`);
  }
}
