import { inspect } from 'node:util';
import type { CallbackDeliveries, KeptEvent } from 'nestjs-callbacks';
import { escape, page } from '../page.js';

export const deliveriesPage = (
  counts: readonly CallbackDeliveries[],
  dead: readonly KeptEvent[],
  waiting: readonly KeptEvent[],
) =>
  page(
    'Deliveries',
    `
    <table>
      <tr><th>Event<th>Callback<th>Waiting<th>Later<th>Running<th>Dead
      ${counts.map(countRow).join('')}
    </table>
    <h2>Dead</h2>
    ${dead.length > 0 ? `<table>${dead.map((delivery) => deliveryRow(delivery, true)).join('')}</table>` : '<p>None.</p>'}
    <h2>Waiting</h2>
    ${waiting.length > 0 ? `<table>${waiting.map((delivery) => deliveryRow(delivery, false)).join('')}</table>` : '<p>None.</p>'}
    <p><a href="/">Sign up</a></p>`,
    'wide',
  );

const countRow = ({ event, callback, waiting, delayed, running, dead }: CallbackDeliveries) => `
      <tr><td>${escape(event)}<td>${escape(callback)}<td>${waiting}<td>${delayed}<td>${running}<td>${dead}
        <td>${dead > 0 ? button('retry', 'Retry all', { event, callback }) : ''}`;

const deliveryRow = ({ id, event, callback, arguments: args, attempts, since, error }: KeptEvent, isDead: boolean) => `
      <tr>
        <td>${escape(callback)}<br><small>${escape(id)}</small>
        <td>${escape(args.map((argument) => inspect(argument)).join(', '))}
          <br><small>${attempts} attempt${attempts === 1 ? '' : 's'}, ${isDead ? 'dead since' : 'next at'} ${since.toISOString()}</small>
          ${error ? `<details><summary>${escape(error.message)}</summary><pre>${escape(error.stack)}</pre></details>` : ''}
        <td>${isDead ? button('retry', 'Retry', { event, callback, id }) : ''} ${button('discard', 'Discard', { event, callback, id })}`;

const button = (action: string, label: string, meant: { event: string; callback: string; id?: string }) => `
          <form method="post" action="/deliveries/${action}">${Object.entries(meant)
            .map(([name, value]) => `<input type="hidden" name="${name}" value="${escape(value)}">`)
            .join('')}
            <button>${label}</button>
          </form>`;
