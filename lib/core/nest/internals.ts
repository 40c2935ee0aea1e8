/*
 * Everything of Nest that its documentation does not name: paths below its packages, private members, and keys of metadata.
 * Each export says why it is needed. `test/nest/internals.spec.ts` has a spec for each, which runs on Nest 11 and on Nest 12.
 */
import type { ArgumentsHost, NestInterceptor, Type } from '@nestjs/common';
import { PARAMTYPES_METADATA, PROPERTY_DEPS_METADATA, SELF_DECLARED_DEPS_METADATA } from '@nestjs/common/constants.js';
import {
  type ContextId,
  type DiscoveryService,
  ExternalContextCreator,
  ModuleRef,
  type ModulesContainer,
  type NestContainer,
  REQUEST,
} from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { STATIC_CONTEXT } from '@nestjs/core/injector/constants.js';
import { REQUEST_CONTEXT_ID } from '@nestjs/core/router/request/request-constants.js';

/** Nest's record of one module, as `ModulesContainer` holds it. Nest does not export the type. */
export type NestModule = ModulesContainer extends Map<string, infer Module> ? Module : never;

/** Nest's record of one provider, controller or enhancer. Nest does not export the type. */
export type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];

// Instances, and the things that they depend on

/** The context of all instances that exist once: without it, Nest cannot be asked whether such an instance is there. */
export { STATIC_CONTEXT };

/** The instance that exists once, and whether it is complete: Nest has no public way to ask without making one. */
export const staticInstanceOf = (wrapper: Wrapper, inquirerId?: string) =>
  wrapper.getInstanceByContextId(STATIC_CONTEXT, inquirerId);

/**
 * Whether the provider threw while Nest created it. Nest then forgets its instance, and makes up another answer each time
 * that it is asked: nothing else tells a failed start from a slow one.
 */
export const hasFailed = (wrapper: Wrapper): boolean => staticInstanceOf(wrapper) !== staticInstanceOf(wrapper);

/** The dependencies that a constructor takes, in its order; `undefined` in the place of one that Nest did not find. */
export const constructorDependenciesOf = (wrapper: Wrapper): readonly (Wrapper | undefined)[] =>
  wrapper.getCtorMetadata() ?? [];

/**
 * The enhancers that Nest makes with each instance of a class: those that depend on the request make it depend on it, too.
 */
export const enhancerDependenciesOf = (wrapper: Wrapper): readonly Wrapper[] => wrapper.getEnhancersMetadata() ?? [];

/** Everything that an instance is made of: whether a provider depends on the request must be known before it is made. */
export const dependenciesOf = (wrapper: Wrapper): readonly (Wrapper | undefined)[] => [
  ...constructorDependenciesOf(wrapper),
  ...(wrapper.getPropertiesMetadata() ?? []).map((property) => property.wrapper),
  ...enhancerDependenciesOf(wrapper),
];

/** The guards and their like of a module's classes, which callbacks may need: `DiscoveryService` leaves them out. */
export const enhancersOf = (module: NestModule): NestModule['injectables'] => module.injectables;

/**
 * The `ModuleRef` of a module, which resolves its request-scoped providers: only Nest's own code can inject it for another.
 */
export const moduleRefOf = (module: NestModule): ModuleRef => module.providers.get(ModuleRef)!.instance as ModuleRef;

// Modules and their hooks

/**
 * The imports that a module lists itself, in its order: the order of callbacks follows it. Nest adds every global module to
 * them.
 */
export function listedImportsOf(module: NestModule): readonly unknown[] {
  const { container } = module as unknown as {
    container?: { getDynamicMetadataByToken(token: string, key: string): unknown };
  };
  return [
    ...((Reflect.getMetadata('imports', module.metatype) as unknown[] | undefined) ?? []),
    // `forRoot()` and its like list theirs here.
    ...((container?.getDynamicMetadataByToken(module.token, 'imports') as unknown[] | undefined) ?? []),
  ];
}

/**
 * Makes a module the nearest to the root. Nest calls hooks module by module, by distance from the root: at the start the
 * nearest last, at shutdown the nearest first. The root itself is at 1.
 */
export function placeNearest(module: NestModule): void {
  module.distance = -1;
}

// Instances of a request

/** Gives a context an instance that Nest has not made itself, so that Nest makes no second one. */
export function noteInstance(wrapper: Wrapper, id: ContextId, instance: unknown): void {
  wrapper.setInstanceByContextId(id, { instance, isResolved: true });
}

/**
 * The function that Nest applies to each instance that it makes, for its option `instrument`; `undefined` where this Nest
 * has none.
 */
export function instanceDecoratorOf(moduleRef: ModuleRef): ((instance: unknown) => unknown) | undefined {
  const { injector } = moduleRef as unknown as { injector?: { instanceDecorator?: unknown } };
  const decorate = injector?.instanceDecorator;
  return typeof decorate === 'function' ? (decorate as (instance: unknown) => unknown) : undefined;
}

/**
 * Whether this is Nest's own provider of `REQUEST`, which each context has anew; a test may have put another in its place.
 */
export const isRequestProvider = ({ token, host }: Wrapper): boolean =>
  token === REQUEST && host?.name === 'InternalCoreModule';

/** How many parameters the constructor of a class has injected: an instance made with fewer would not be Nest's. */
export function constructorParametersOf(type: Type): number {
  const injected = listOf<{ index: number }>(type, SELF_DECLARED_DEPS_METADATA).map(({ index }) => index + 1);
  return Math.max(listOf(type, PARAMTYPES_METADATA).length, ...injected);
}

/** Whether Nest injects properties of a class: then calling its constructor is not enough. */
export const hasInjectedProperties = (type: Type): boolean => listOf(type, PROPERTY_DEPS_METADATA).length > 0;

const listOf = <T>(type: object, key: string) => (Reflect.getMetadata(key, type) as T[] | undefined) ?? [];

/**
 * The context that Nest has made for an HTTP request; `undefined` if it made none, as for a controller that exists once.
 */
export function requestContextOf(request: object): ContextId | undefined {
  const noted = request as Noting & { readonly raw?: Noting };
  return noted[REQUEST_CONTEXT_ID] ?? noted.raw?.[REQUEST_CONTEXT_ID];
}

type Noting = { readonly [key in typeof REQUEST_CONTEXT_ID]?: ContextId };

/** Notes the context of an HTTP request where Nest looks for it, so that controller and callbacks share instances. */
export function noteRequestContext(request: object, id: ContextId): void {
  Object.defineProperty(request, REQUEST_CONTEXT_ID, { value: id });
}

// Guards, interceptors, pipes and filters

/**
 * The four kinds of enhancers: the key by which Nest's decorators note them on a class or a method, and what each must do.
 */
export const ENHANCERS = [
  { key: '__guards__', decorator: '@UseGuards()', does: 'canActivate' },
  { key: '__interceptors__', decorator: '@UseInterceptors()', does: 'intercept' },
  { key: '__pipes__', decorator: '@UsePipes()', does: 'transform' },
  { key: '__exceptionFilters__', decorator: '@UseFilters()', does: 'catch' },
] as const;

/** Asks guards, one after another. */
export interface GuardsConsumer {
  tryActivate(guards: unknown[], ...rest: unknown[]): Promise<boolean>;
}

/** Asks interceptors, one within the other. */
export interface InterceptorsConsumer {
  intercept(interceptors: NestInterceptor[], ...rest: unknown[]): Promise<unknown>;
}

/** Makes the filters of a method. Those of `ExternalContextCreator.create()` see neither event nor callback. */
export interface FiltersContextCreator {
  create(...of: [target: object, handler: Function, moduleKey: string, contextId: ContextId, inquirerId: string]): {
    invokeCustomFilters(error: unknown, host: ArgumentsHost): unknown;
  };
}

/** The private members of Nest's `ExternalContextCreator`, which applies enhancers to any method. */
interface CreatorInside {
  readonly container: NestContainer;
  readonly guardsConsumer: GuardsConsumer;
  readonly interceptorsConsumer: InterceptorsConsumer;
  readonly filtersContextCreator: FiltersContextCreator;
}

const insideOf = (creator: ExternalContextCreator) => creator as unknown as CreatorInside;

/**
 * Makes a creator of its own for callbacks.
 *
 * @param isGlobal whether it applies the global enhancers, too. It reads them from the container's configuration: without
 * one, there are none.
 */
export function creatorLike(creator: ExternalContextCreator, isGlobal: boolean): ExternalContextCreator {
  const { container } = insideOf(creator);
  return ExternalContextCreator.fromContainer(
    isGlobal ? container : (Object.create(container, { applicationConfig: { value: undefined } }) as NestContainer),
  );
}

/**
 * A creator for the methods of one module. Nest looks for the module of a class by the class, which several modules may
 * provide; and Nest 11 keeps what it knows of a method for good, whatever the number of its arguments.
 *
 * @param guards asks guards in the place of Nest's own
 * @param interceptors asks interceptors in the place of Nest's own
 */
export function creatorWithin(
  creator: ExternalContextCreator,
  module: NestModule,
  guards: (consumer: GuardsConsumer) => GuardsConsumer,
  interceptors: (consumer: InterceptorsConsumer) => InterceptorsConsumer,
): ExternalContextCreator {
  const moduleKey = { value: () => module.token };
  return Object.create(creator, {
    getContextModuleKey: moduleKey,
    getHostModuleKey: moduleKey,
    handlerMetadataStorage: { value: { get() {}, set() {} } },
    guardsConsumer: { value: guards(insideOf(creator).guardsConsumer) },
    interceptorsConsumer: { value: interceptors(insideOf(creator).interceptorsConsumer) },
  }) as ExternalContextCreator;
}

/** The part of a creator that makes the filters of a method. */
export const filtersCreatorOf = (creator: ExternalContextCreator): FiltersContextCreator =>
  insideOf(creator).filtersContextCreator;

/** The context in which a filter is told of a failed call: Nest makes it, and has no public way to. */
export function hostOf(args: readonly unknown[], type: Function, handler: Function): ArgumentsHost {
  const host = new ExecutionContextHost([...args], type as Type, handler);
  host.setType('event');
  return host;
}

/** The kind of parameter that `@Body()` declares: Nest's own pipes leave parameters of custom decorators alone. */
const PARAMETER_TYPE_BODY = 3;

/**
 * Has Nest run pipes over each of so many arguments: it does so only for parameters that a decorator has declared.
 *
 * @returns the key under which they are declared now
 */
export function declareParameters(type: Function, method: string, count: number): string {
  const key = `nestjs-callbacks:arguments:${count}`;
  const parameters = Array.from({ length: count }, (_, index) => [
    `${PARAMETER_TYPE_BODY}:${index}`,
    { index, data: index, pipes: [] },
  ]);
  Reflect.defineMetadata(key, Object.fromEntries(parameters), type, method);
  return key;
}
