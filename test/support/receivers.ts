import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type ParsedMail, simpleParser } from 'mailparser';
import { SMTPServer } from 'smtp-server';

/** An HTTP server that answers each request by `status`, or never. */
export async function webhook(status: number | 'never') {
  const bodies: unknown[] = [];
  const server = createServer(async (request, response) => {
    bodies.push(JSON.parse(Buffer.concat(await request.toArray()).toString()));
    if (status !== 'never') response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { bodies, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhook`, close };
}

/** A mail server that takes everything, or refuses it. */
export async function mailServer({ port = 0, refuses = false } = {}) {
  const mails: ParsedMail[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    onRcptTo: (_address, _session, callback) =>
      callback(refuses ? Object.assign(new Error('no such mailbox'), { responseCode: 550 }) : null),
    onData: (stream, _session, callback) =>
      void simpleParser(stream).then((mail) => {
        mails.push(mail);
        callback();
      }, callback),
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
  const { port: actual } = server.server.address() as AddressInfo;
  const close = () => new Promise<void>((resolve) => server.close(resolve));
  return { mails, port: actual, url: `smtp://127.0.0.1:${actual}`, close };
}

export const sentTo = (mails: readonly ParsedMail[], address: string) =>
  mails.filter(({ to }) => [to].flat().some((list) => list?.value.some((one) => one.address === address)));

/** The mails that were written into a folder rather than sent, to this address. */
export async function writtenTo(folder: string, address: string): Promise<ParsedMail[]> {
  const mails = readdirSync(folder).map((file) => simpleParser(readFileSync(join(folder, file))));
  return sentTo(await Promise.all(mails), address);
}
