import { escape, page } from '../page.js';
import type { Step } from '../what-happened.js';

/** What the page shows above its form. */
export interface Answer {
  message?: string;
  problem?: string;
  happened?: readonly Step[];
  /** What had been typed, to be mended rather than typed again. */
  typed?: Record<string, unknown>;
}

const SIGNS = { done: '✓', failed: '✗', running: '…' };

export const signupPage = ({ message, problem, happened = [], typed = {} }: Answer) =>
  page(
    'Sign up',
    `
    ${message ? `<p role="status">${escape(message)}</p>` : ''}
    ${problem ? `<p role="alert">${escape(problem)}</p>` : ''}
    ${happened.length > 0 ? `<p>What happened:</p><ul>${happened.map(step).join('')}</ul>` : ''}
    ${message ? '<p>The rest follows: see the <a href="/deliveries">deliveries</a>.</p>' : ''}
    <form method="post" action="/">
      <label for="name">Name</label>
      <input id="name" name="name" required maxlength="100" autocomplete="name" value="${escape(typed.name)}">
      <label for="email">E-mail</label>
      <input id="email" name="email" type="email" required autocomplete="email" value="${escape(typed.email)}">
      <button>Sign up</button>
    </form>`,
  );

const step = ({ status, callback, error }: Step) =>
  `<li>${SIGNS[status]} ${escape(callback)}${error ? `: ${escape(error)}` : ''}</li>`;
