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

export const signupPage = ({ message, problem, happened = [], typed = {} }: Answer) => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Sign up</title>
    <style>
      body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 3rem auto; padding: 0 1rem; }
      label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
      label { margin-top: 1rem; }
      input, button { padding: .5rem; }
      button { margin-top: 1.5rem; }
      [role] { padding: .5rem 1rem; background: #e7f5e7; color: #14361a; }
      [role=alert] { background: #fbe6e6; color: #5c1010; }
      ul { list-style: none; padding: 0; }
    </style>
  </head>
  <body>
    <h1>Sign up</h1>
    ${message ? `<p role="status">${escape(message)}</p>` : ''}
    ${problem ? `<p role="alert">${escape(problem)}</p>` : ''}
    ${
      happened.length > 0
        ? `<p>What happened:</p><ul>${happened
            .map(
              ({ status, callback, error }) =>
                `<li>${SIGNS[status]} ${escape(callback)}${error ? `: ${escape(error)}` : ''}</li>`,
            )
            .join('')}</ul>`
        : ''
    }
    <form method="post" action="/">
      <label for="name">Name</label>
      <input id="name" name="name" required maxlength="100" autocomplete="name" value="${escape(typed.name)}">
      <label for="email">E-mail</label>
      <input id="email" name="email" type="email" required autocomplete="email" value="${escape(typed.email)}">
      <button>Sign up</button>
    </form>
  </body>
</html>
`;

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

const escape = (text: unknown) =>
  typeof text === 'string' ? text.replace(/[&<>"']/g, (character) => ENTITIES[character]) : '';
