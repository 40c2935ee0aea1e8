/** How values of CLS travel as headers: which arrive equal, which refuse a run, and which keys can be named. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Programs } from './programs.js';
import type { Results } from './values-program.js';

const programs = new Programs();
let results: Results;
beforeAll(async () => {
  results = await programs.resultOf('values-program');
});
afterAll(() => programs.remove());

describe('A value', () => {
  it('arrives equal, a string as it stands, and everything else apart from the strings that look like it', () => {
    expect(results.values).toEqual(
      [
        ['acme', "'acme'"],
        ['', "''"],
        [' as it is ', "' as it is '"],
        ['Ünïcödé 🎉 \t "quoted" \\', `'Ünïcödé 🎉 \\t "quoted" \\\\'`],
        ['7', "'7'"],
        ['null', "'null'"],
        ['{"a":1}', `'{"a":1}'`],
        ['json:"json:7"', "'json:7'"],
        ['json:"json:"', "'json:'"],
        ['json:"two\\nlines"', "'two\\nlines'"],
        ['json:"a\\u0000b\\u007fc\\u0085d"', "'a\\x00b\\x7Fc\\x85d'"],
        ['json:"half of \\ud83c"', "'half of \\ud83c'"],
        ['json:7', '7'],
        ['json:-0.5', '-0.5'],
        ['json:1e+21', '1e+21'],
        ['json:true', 'true'],
        ['json:false', 'false'],
        ['json:null', 'null'],
        ['json:[]', '[]'],
        ['json:{}', '{}'],
        ['json:[1,"a",null,[{"b":"two\\nlines\\u009f"}]]', "[ 1, 'a', null, [ { b: 'two\\nlines\\x9F' } ] ]"],
        ['json:{"id":7,"of":{"\\u0085":["json:x"]}}', "{ id: 7, of: { '\\x85': [ 'json:x' ] } }"],
        ['json:{"of":"no class"}', "{ of: 'no class' }"],
        ['json:{"of":["another realm"]}', "{ of: [ 'another realm' ] }"],
      ].map((one) => [...one, true]),
    );
  });

  it('that is not set, as in no store at all, is not set in the store of an attempt', () => {
    expect(results.outside).toEqual([null, true, null]);
  });

  it('that JSON does not bring back equal has the run refused', () => {
    const found = [
      '1970-01-01T00:00:00.000Z at value',
      'Map {} at value',
      'User { id } at value',
      'a function at value',
      'undefined at value.role',
      '{ again } at value.again.circle',
      '7n at value',
      'NaN at value',
      'Symbol(s) at value',
      '1970-01-01T00:00:00.000Z at value.since[0]',
      '[ 1, 2,  ] at value',
      "[ '…', '…' ] at value",
      '{} at value',
      '{} at value',
    ];
    const messages = found.map(
      (one) =>
        `"x" was not run: propagator ClsPropagator found ${one} in the CLS store, which JSON does not bring back as it is. ` +
        "Put plain data or an id there, or have less of it travel, as in keys: ['user.id'].",
    );
    expect(results.refusals).toEqual(messages.map((message) => ['EVENTS_PROPAGATOR_FAILED', message]));
  });

  it('is not looked at where its header was passed', () => {
    expect(results.passed).toEqual(['today', true, 'today']);
  });
});

it('clsPropagator() refuses wrong options, and keys that cannot be headers', () => {
  const name = 'A name is made as in HTTP, of letters, digits and marks such as - _ and .: tenant, x-request-id.';
  const keys = "Pass the keys that are to travel: keys: ['tenant', 'user.id'].";
  const problems = [
    "undefined. Pass an object: { keys: ['tenant'] }.",
    "[ 'tenant' ]. Pass an object: { keys: ['tenant'] }.",
    `keys: undefined. ${keys}`,
    `keys: []. ${keys}`,
    `keys: 'tenant'. ${keys}`,
    'keys: [ Symbol(CLS_ID) ]. No header is named by a symbol. ' +
      "Put the value under a string, too: cls.set('requestId', cls.getId()).",
    `keys: [ 'tenant', '' ], which would write a header named ''. ${name}`,
    `keys: [ 'user name' ], which would write a header named 'user name'. ${name}`,
    "keys: [ 'Tenant', 'tenant' ], which would write the header tenant twice. Case does not tell names apart: keep one.",
    "the keys 'user' and 'user.id', which is within it. Keep one of them.",
    "the key 'Correlation-Id', a header that every run writes itself. " +
      'Use another key, or read it from currentEvent().headers.',
    `key: 'user', which is not an option of it. Did you mean "keys"?`,
    "prefix: 'x-', which is not an option of it. The only option is keys.",
  ];
  expect(results.options).toEqual(
    problems.map((problem) => ['EVENTS_OPTION_INVALID', `clsPropagator() was given ${problem}`]),
  );
});
