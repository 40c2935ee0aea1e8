import { show } from './describe.js';
import { EventsError } from './events-error.js';

export const notAMethod = (what: string) =>
  new EventsError(
    'EVENTS_NOT_A_METHOD',
    `@Callback() was put on ${what}. Put it on a method of a provider or a controller: the instance's method is what answers the event.`,
  );

export const generatorFound = (name: string) =>
  new EventsError(
    'EVENTS_NOT_A_METHOD',
    `@Callback() was put on ${name}, which is a generator. A call of it runs nothing, but makes an iterator that nobody would ask. ` +
      'Make it a method that does the work itself, async if need be.',
  );

export const iteratorReturned = () =>
  new EventsError(
    'EVENTS_NOT_A_METHOD',
    'It returned an iterator, as a generator does when it is called, and nothing of it has run. Do the work in the callback itself.',
  );

export const standardDecorator = (name: string) =>
  new EventsError(
    'EVENTS_NOT_A_METHOD',
    `@Callback() on "${name}" was compiled as a standard decorator, which Nest does not read. ` +
      'Set "experimentalDecorators": true in tsconfig.json, as Nest itself needs it.',
  );

export const declaredTwice = (callback: string, event: string) =>
  new EventsError(
    'EVENTS_DECLARED_TWICE',
    `${callback} is declared twice for "${event}". Keep one @Callback() per event on a method.`,
  );

export const callbackInvalid = (callback: string, problem: string, remedy: string) =>
  new EventsError('EVENTS_CALLBACK_INVALID', `${callback} has ${problem}. ${remedy}`);

export const optionInvalid = (option: string, found: unknown, remedy: string, isKnown = true) =>
  new EventsError(
    'EVENTS_OPTION_INVALID',
    `EventsModule was configured with ${option}: ${show(found)}${isKnown ? '' : ', which is not an option of it'}. ${remedy}`,
  );

export const configuredTwice = (count: number) =>
  new EventsError(
    'EVENTS_CONFIGURED_TWICE',
    `EventsModule.forRoot() or forRootAsync() is imported ${count} times in this application, and its options hold for all of it. ` +
      'Keep the one in the root module; other modules need no import, or the plain EventsModule.',
  );

export const providedByHabit = (type: Function) =>
  new EventsError(
    'EVENTS_CONFIGURED_TWICE',
    `${type.name} was made without what it needs, as it is in the providers of a module. ` +
      'Remove it from providers: EventsModule provides it.',
  );

export const definitionConflict = (event: string, where: string, other: string) =>
  new EventsError(
    'EVENTS_DEFINITION_CONFLICT',
    `${where} uses a definition of "${event}" with other schemas than that of ${other}. ` +
      'Export one defineEvent() and import it in both places.',
  );

export const enhancerUnavailable = (callback: string, decorator: string, reason: string) =>
  new EventsError(
    'EVENTS_ENHANCER_UNAVAILABLE',
    `${callback} carries ${decorator} that could not be applied to it: ${reason}. ` +
      'Provide the class that carries it as a class (not by a factory or a value), decorate the overriding method itself, or remove it.',
  );

export const orderUnknown = (callback: string, relation: string, target: string, event: string, remedy: string) =>
  new EventsError(
    'EVENTS_ORDER_UNKNOWN',
    `${callback} asks to run ${relation} ${target}, but no callback of "${event}" is ${target}. ${remedy}`,
  );

export const orderAmbiguous = (callback: string, relation: string, id: string) =>
  new EventsError(
    'EVENTS_ORDER_AMBIGUOUS',
    `${callback} asks to run ${relation} "${id}", but several callbacks have that id. ` +
      'Give each its own: @Callback(event, { id: … }), or name their class.',
  );

export const orderImpossible = (event: string, reason: string) =>
  new EventsError(
    'EVENTS_ORDER_IMPOSSIBLE',
    `The callbacks of "${event}" cannot be ordered: ${reason}. Remove one of these before/after options.`,
  );
