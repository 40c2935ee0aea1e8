import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Injectable, Logger, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { createTransport, type SendMailOptions, type Transporter } from 'nodemailer';

const TIMEOUT_MS = 5_000;

/** Sends to the server that SMTP_URL names; without one, writes `.eml` files into a folder. */
@Injectable()
export class Mailer implements OnModuleInit, OnModuleDestroy {
  private readonly logger = new Logger('Mailer');
  private readonly server = process.env.SMTP_URL;
  private readonly mailbox = resolve(process.env.DATA_FOLDER ?? '.data', 'mailbox');
  private readonly transport: Transporter = this.server
    ? createTransport({
        url: this.server,
        connectionTimeout: TIMEOUT_MS,
        greetingTimeout: TIMEOUT_MS,
        socketTimeout: TIMEOUT_MS,
      })
    : createTransport({ streamTransport: true, buffer: true });

  onModuleInit(): void {
    this.logger.log(
      this.server
        ? 'E-mails go to the server that SMTP_URL names'
        : `E-mails go to ${this.mailbox} (set SMTP_URL for a server)`,
    );
  }

  onModuleDestroy(): void {
    this.transport.close();
  }

  async send(mail: SendMailOptions): Promise<void> {
    const sent = await this.transport.sendMail({
      from: process.env.EMAIL_FROM ?? 'Sign-up <hello@example.org>',
      ...mail,
    });
    if (this.server) return;
    await mkdir(this.mailbox, { recursive: true });
    const file = join(this.mailbox, `${new Date().toISOString().replaceAll(':', '-')}-${randomUUID().slice(0, 8)}.eml`);
    await writeFile(file, sent.message as Buffer);
    this.logger.log(`Wrote ${file}`);
  }
}
