import type { StandardSchemaV1 } from '@standard-schema/spec';
import { argumentsInvalid, eventInvalid, schemaFailed } from '../errors/run-errors.js';
import { isThenable } from '../async/promises.js';
import { recognizeCopies } from '../copies/shared.js';

/**
 * An event as a value: its name, and one schema per argument. Made by {@link defineEvent}, taken by `@Callback()` and
 * by `run()`. `Passed` are the arguments of `run()`, `Received` those that callbacks get after the schemas' defaults and
 * coercions.
 */
export class EventDefinition<Name extends string, Passed extends unknown[], Received extends unknown[]> {
  declare private readonly types: (passed: Passed) => Received;

  /** @internal Use {@link defineEvent}. */
  constructor(
    readonly name: Name,
    readonly schemas: readonly StandardSchemaV1[],
  ) {}
}

recognizeCopies(EventDefinition, 'EventDefinition');

/** The arguments that `run(definition, …)` takes. */
export type PassedTo<Definition> = Definition extends EventDefinition<string, infer Passed, infer _> ? Passed : never;

/**
 * The arguments that the callbacks of a definition receive. Use it to put a defined event into `EventMap`, or to type a
 * test.
 */
export type ReceivedFrom<Definition> =
  Definition extends EventDefinition<string, infer _, infer Received> ? Received : never;

type Inputs<Schemas extends StandardSchemaV1[]> = { [I in keyof Schemas]: StandardSchemaV1.InferInput<Schemas[I]> };
type Outputs<Schemas extends StandardSchemaV1[]> = { [I in keyof Schemas]: StandardSchemaV1.InferOutput<Schemas[I]> };

/** Trailing arguments that may be `undefined` may be left out of the call. */
type OptionalTail<Args extends unknown[]> = Args extends [...infer Head, infer Last]
  ? undefined extends Last
    ? [...OptionalTail<Head>, Last?]
    : Args
  : Args;

/**
 * Gives an event a name and types, without checking them at run time.
 *
 * @example
 * export const userJoined = defineEvent<[name: string, email: string]>('user_joined');
 */
export function defineEvent<Args extends unknown[] = []>(name: string): EventDefinition<string, Args, Args>;
/**
 * Gives an event a name and one schema per argument, of any library that speaks Standard Schema (zod, valibot,
 * arktype …). `run()` checks every argument before any callback runs; callbacks receive what the schemas return,
 * so a default or a coercion counts. A schema may be asynchronous.
 *
 * @example
 * export const userJoined = defineEvent('user_joined', z.string().min(1), z.email());
 *
 * @throws EVENTS_EVENT_INVALID when the name is empty or an argument is not a Standard Schema.
 */
export function defineEvent<const Name extends string, Schemas extends [StandardSchemaV1, ...StandardSchemaV1[]]>(
  name: Name,
  ...schemas: Schemas
): EventDefinition<Name, OptionalTail<Inputs<Schemas>>, Outputs<Schemas>>;
export function defineEvent(name: string, ...schemas: StandardSchemaV1[]) {
  if (typeof name !== 'string' || name === '') {
    throw eventInvalid('defineEvent()', name, 'Pass its name first, a string that is not empty.');
  }
  schemas.forEach((schema, index) => {
    if (!isSchema(schema)) {
      throw eventInvalid(
        `defineEvent('${name}')`,
        schema,
        `Pass a Standard Schema (zod, valibot, arktype …) for argument ${index + 1}, or none at all and a type parameter.`,
      );
    }
  });
  return new EventDefinition<string, unknown[], unknown[]>(name, Object.freeze(schemas));
}

/** Whether something is a Standard Schema. Those of some libraries are functions. */
export const isSchema = (value: unknown): value is StandardSchemaV1 =>
  typeof (value as Partial<StandardSchemaV1> | null | undefined)?.['~standard']?.validate === 'function';

/** The remedy for a schema in the place of an event. */
export const NAME_THE_SCHEMA =
  "It is a schema. Make an event of it, which has a name: defineEvent('user_joined', schema).";

type Result = StandardSchemaV1.Result<unknown>;

/**
 * Has the schemas check the arguments, and returns the values that they answer with. Returns a promise only when a schema is
 * asynchronous.
 *
 * @throws EVENTS_ARGUMENTS_INVALID, EVENTS_SCHEMA_FAILED
 */
export function checkArguments(
  { name, schemas }: EventDefinition<string, unknown[], unknown[]>,
  args: readonly unknown[],
): unknown[] | Promise<unknown[]> {
  if (args.length > schemas.length) {
    throw argumentsInvalid(name, `it takes ${schemas.length}, and got ${args.length}`);
  }
  const results = schemas.map((schema, index) => {
    try {
      const result = schema['~standard'].validate(args[index]);
      return isThenable(result)
        ? Promise.resolve(result).catch((cause: unknown) => {
            throw schemaFailed(name, index + 1, cause);
          })
        : result;
    } catch (cause) {
      throw schemaFailed(name, index + 1, cause);
    }
  });
  return results.some(isThenable)
    ? Promise.all(results as Promise<Result>[]).then((settled) => accepted(name, settled))
    : accepted(name, results as Result[]);
}

function accepted(name: string, results: readonly Result[]): unknown[] {
  results.forEach((result, index) => {
    if (typeof result !== 'object' || result === null) throw schemaFailed(name, index + 1, result);
  });
  const issues = results.map((result) => result.issues ?? []);
  const problems = issues.flatMap((found, index) =>
    found.map((issue) => `argument ${index + 1}${pathOf(issue)}: ${issue.message}`),
  );
  if (problems.length > 0) throw argumentsInvalid(name, problems.join('; '), issues.flat());
  return results.map((result) => (result as StandardSchemaV1.SuccessResult<unknown>).value);
}

const pathOf = ({ path }: StandardSchemaV1.Issue) =>
  path?.length ? ` (${path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')})` : '';
