const STYLE = `
  body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 3rem auto; padding: 0 1rem; }
  body.wide { max-width: 60rem; }
  label, input, form > button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
  label { margin-top: 1rem; }
  input, button { padding: .5rem; }
  form > button { margin-top: 1.5rem; }
  [role] { padding: .5rem 1rem; background: #e7f5e7; color: #14361a; }
  [role=alert] { background: #fbe6e6; color: #5c1010; }
  ul { list-style: none; padding: 0; }
  table { border-collapse: collapse; width: 100%; font-size: 1rem; }
  th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #ccc; vertical-align: top; }
  td form { display: inline; }
  td form > button { display: inline; width: auto; margin: 0; padding: .2rem .6rem; }
  pre { font-size: .8rem; white-space: pre-wrap; }
`;

/** A page of HTML around a body, which is HTML already. */
export const page = (title: string, body: string, width: 'narrow' | 'wide' = 'narrow') => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${escape(title)}</title>
    <style>${STYLE}</style>
  </head>
  <body class="${width}">
    <h1>${escape(title)}</h1>
    ${body}
  </body>
</html>
`;

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Text as HTML; nothing for what is no text. */
export const escape = (text: unknown) =>
  typeof text === 'string' ? text.replace(/[&<>"']/g, (character) => ENTITIES[character]) : '';
