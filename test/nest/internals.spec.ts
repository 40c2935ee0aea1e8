/**
 * Every internal of Nest that `lib/core/nest/internals.ts` uses, one by one: what is believed of it must be so, on Nest 11 and
 * on Nest 12. A spec here that fails says which line there to look at.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from '@jest/globals';
import {
  type CanActivate,
  Controller,
  type ExceptionFilter,
  Get,
  Global,
  Inject,
  Injectable,
  Module,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
  type PipeTransform,
  Req,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';
import { PARAMTYPES_METADATA, PROPERTY_DEPS_METADATA, SELF_DECLARED_DEPS_METADATA } from '@nestjs/common/constants.js';
import {
  ContextIdFactory,
  ExternalContextCreator,
  ModuleRef,
  ModulesContainer,
  type NestContainer,
  NestFactory,
  REQUEST,
} from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { STATIC_CONTEXT } from '@nestjs/core/injector/constants.js';
import { REQUEST_CONTEXT_ID } from '@nestjs/core/router/request/request-constants.js';
import { deferred } from '../support/app.js';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Starts an application, and answers with Nest's record of a provider or controller of its root module. */
async function start(metadata: object, options: object = {}) {
  @Module(metadata)
  class Root {}
  const app = await NestFactory.create(Root, { logger: false, ...options });
  closing.push(() => app.close());
  await app.init();
  const root = moduleOf(app.get(ModulesContainer), Root);
  const wrapperOf = (token: unknown): any => root.providers.get(token) ?? root.controllers.get(token);
  return { app, root, wrapperOf };
}

const moduleOf = (modules: ModulesContainer, type: unknown): any =>
  [...modules.values()].find(({ metatype }) => metatype === type);

@Injectable()
class Plain {}

@Injectable({ scope: Scope.REQUEST })
class PerRequest {
  @Inject(Plain) readonly plain!: Plain;
}

@Injectable()
class Needy {
  constructor(
    readonly plain: Plain,
    @Inject('TEXT') readonly text: string,
  ) {}
}

@Injectable({ scope: Scope.REQUEST })
class PerRequestGuard implements CanActivate {
  canActivate = () => true;
}

@Controller()
@UseGuards(PerRequestGuard)
class Guarded {
  @Get() get(@Req() request: any) {
    return { isNoted: request[REQUEST_CONTEXT_ID] !== undefined };
  }
}

const specs: Record<string, () => Promise<void>> = {
  async STATIC_CONTEXT() {
    const { app, wrapperOf } = await start({ providers: [Plain] });
    expect(wrapperOf(Plain).getInstanceByContextId(STATIC_CONTEXT).instance).toBe(app.get(Plain));
  },

  async staticInstanceOf() {
    const gate = deferred();
    let modules!: ModulesContainer;
    @Injectable()
    class Probe {
      constructor(container: ModulesContainer) {
        modules = container;
      }
    }
    @Module({ providers: [Probe, { provide: 'SLOW', useFactory: () => gate.promise.then(() => 'slow') }] })
    class Root {}
    const starting = NestFactory.createApplicationContext(Root, { logger: false });
    while (!modules) await new Promise(setImmediate);
    const slow = () => moduleOf(modules, Root).providers.get('SLOW').getInstanceByContextId(STATIC_CONTEXT, undefined);
    expect(slow().isResolved).not.toBe(true);
    gate.resolve();
    closing.push(
      (
        (app) => () =>
          app.close()
      )(await starting),
    );
    expect([slow().isResolved, slow().instance]).toEqual([true, 'slow']);
  },

  async hasFailed() {
    let modules!: ModulesContainer;
    @Injectable()
    class Broken {
      constructor(container: ModulesContainer) {
        modules = container;
        throw new Error('broken');
      }
    }
    @Module({ providers: [Plain, Broken] })
    class Root {}
    const starting = NestFactory.createApplicationContext(Root, { logger: false, abortOnError: false });
    await expect(starting).rejects.toThrow('broken');
    const answers = (token: unknown) => {
      const wrapper = moduleOf(modules, Root).providers.get(token);
      return [wrapper.getInstanceByContextId(STATIC_CONTEXT), wrapper.getInstanceByContextId(STATIC_CONTEXT)];
    };
    expect(answers(Broken)[0]).not.toBe(answers(Broken)[1]);
    expect(answers(Plain)[0]).toBe(answers(Plain)[1]);
  },

  async constructorDependenciesOf() {
    const { wrapperOf } = await start({ providers: [Plain, Needy, { provide: 'TEXT', useValue: 'text' }] });
    expect(
      wrapperOf(Needy)
        .getCtorMetadata()
        .map(({ token }: any) => token),
    ).toEqual([Plain, 'TEXT']);
    expect(wrapperOf(Plain).getCtorMetadata() ?? []).toEqual([]);
  },

  async enhancerDependenciesOf() {
    const { wrapperOf, root } = await start({ controllers: [Guarded] });
    expect(wrapperOf(Guarded).getEnhancersMetadata()).toEqual([root.injectables.get(PerRequestGuard)]);
    expect(wrapperOf(Guarded).isDependencyTreeStatic()).toBe(false);
  },

  async dependenciesOf() {
    const { app, wrapperOf } = await start({ providers: [Plain, PerRequest] });
    await app.resolve(PerRequest);
    expect(
      wrapperOf(PerRequest)
        .getPropertiesMetadata()
        .map(({ wrapper }: any) => wrapper.token),
    ).toEqual([Plain]);
  },

  async enhancersOf() {
    const { root } = await start({ controllers: [Guarded] });
    expect(root.injectables.get(PerRequestGuard).metatype).toBe(PerRequestGuard);
  },

  async moduleRefOf() {
    const { root } = await start({ providers: [Plain, PerRequest] });
    const moduleRef = root.providers.get(ModuleRef).instance as ModuleRef;
    expect(moduleRef).toBeInstanceOf(ModuleRef);
    expect(await moduleRef.resolve(PerRequest, undefined, { strict: true })).toBeInstanceOf(PerRequest);
  },

  async listedImportsOf() {
    @Global()
    @Module({})
    class Everywhere {}
    @Module({})
    class Listed {}
    @Module({})
    class Added {}
    @Module({ imports: [Listed] })
    class Dynamic {}
    const { app } = await start({ imports: [Everywhere, { module: Dynamic, imports: [Added] }] });
    const dynamic = moduleOf(app.get(ModulesContainer), Dynamic);
    expect(Reflect.getMetadata('imports', Dynamic)).toEqual([Listed]);
    expect(dynamic.container.getDynamicMetadataByToken(dynamic.token, 'imports')).toEqual([Added]);
    const names = [...dynamic.imports].map(({ name }: any) => name);
    expect(names.slice(0, 2)).toEqual(['Listed', 'Added']);
    expect(names.slice(2)).toContain('Everywhere');
  },

  async placeNearest() {
    const called: string[] = [];
    class Hooks implements OnApplicationBootstrap, OnModuleDestroy {
      onApplicationBootstrap = () => called.push(`${this.constructor.name} starts`);
      onModuleDestroy = () => called.push(`${this.constructor.name} ends`);
    }
    @Injectable()
    class Ours extends Hooks {}
    @Injectable()
    class Theirs extends Hooks {}
    @Module({ providers: [Ours] })
    class Near {
      constructor(modules: ModulesContainer) {
        moduleOf(modules, Near).distance = -1;
      }
    }
    const { app } = await start({ imports: [Near], providers: [Theirs] });
    closing.length = 0;
    await app.close();
    expect(called).toEqual(['Theirs starts', 'Ours starts', 'Ours ends', 'Theirs ends']);
  },

  async noteInstance() {
    const { app, root, wrapperOf } = await start({ providers: [Plain, PerRequest] });
    const [id, instance] = [ContextIdFactory.create(), new PerRequest()];
    wrapperOf(PerRequest).setInstanceByContextId(id, { instance, isResolved: true });
    expect(await app.resolve(PerRequest, id)).toBe(instance);
    expect(root.providers.get(PerRequest).getInstanceByContextId(STATIC_CONTEXT).instance).not.toBe(instance);
  },

  async instanceDecoratorOf() {
    const made: unknown[] = [];
    const instanceDecorator = (instance: unknown) => {
      made.push(instance);
      return instance;
    };
    const { app } = await start({ providers: [Plain] }, { instrument: { instanceDecorator } });
    const thing = (app.get(ModuleRef) as any).injector.instanceDecorator({});
    expect(made).toContain(thing);
    expect(made).toContain(app.get(Plain));
    const { app: other } = await start({});
    expect((other.get(ModuleRef) as any).injector.instanceDecorator('same')).toBe('same');
  },

  async isRequestProvider() {
    const { app } = await start({});
    const internal = [...app.get(ModulesContainer).values()].find(({ name }) => name === 'InternalCoreModule')!;
    expect(internal.providers.get(REQUEST)?.host?.name).toBe('InternalCoreModule');
  },

  async constructorParametersOf() {
    expect(Reflect.getMetadata(PARAMTYPES_METADATA, Needy)).toEqual([Plain, String]);
    expect(Reflect.getMetadata(SELF_DECLARED_DEPS_METADATA, Needy)).toEqual([{ index: 1, param: 'TEXT' }]);
  },

  async hasInjectedProperties() {
    expect(Reflect.getMetadata(PROPERTY_DEPS_METADATA, PerRequest)).toHaveLength(1);
    expect(Reflect.getMetadata(PROPERTY_DEPS_METADATA, Plain)).toBeUndefined();
  },

  async requestContextOf() {
    const { app } = await start({ controllers: [Guarded] });
    await app.listen(0, '127.0.0.1');
    const response = await fetch(await app.getUrl(), { headers: { connection: 'close' } });
    expect(await response.json()).toEqual({ isNoted: true });
  },

  async noteRequestContext() {
    const [request, id] = [{}, ContextIdFactory.create()];
    Object.defineProperty(request, REQUEST_CONTEXT_ID, { value: id });
    expect(ContextIdFactory.getByRequest(request)).toBe(id);
    expect(ContextIdFactory.getByRequest({ raw: request } as object)).toBe(id);
  },

  async ENHANCERS() {
    const all = { canActivate: () => true, intercept() {}, transform() {}, catch() {} } as any;
    @UseGuards(all)
    @UseInterceptors(all)
    @UsePipes(all)
    @UseFilters(all)
    class Enhanced {}
    const keys = ['__guards__', '__interceptors__', '__pipes__', '__exceptionFilters__'];
    for (const key of keys) expect(Reflect.getMetadata(key, Enhanced)).toEqual([all]);
  },

  async creatorLike() {
    const { app } = await start({ providers: [Plain] });
    let asked = 0;
    app.useGlobalGuards({ canActivate: () => ++asked > 0 });
    const { container } = app.get(ExternalContextCreator) as unknown as { container: NestContainer };
    const without = Object.create(container, { applicationConfig: { value: undefined } }) as NestContainer;
    for (const [of, times] of [
      [container, 1],
      [without, 1],
    ] as const) {
      await callThrough(ExternalContextCreator.fromContainer(of), app.get(Plain), () => 'called');
      expect(asked).toBe(times);
    }
  },

  async creatorWithin() {
    const { app, root } = await start({ controllers: [Guarded], providers: [Plain] });
    const asked: unknown[] = [];
    const guardsConsumer = { tryActivate: async (guards: unknown[]) => asked.push(...guards) > 0 };
    const interceptorsConsumer = {
      intercept: async (interceptors: unknown[], ...rest: unknown[]) => {
        asked.push(interceptors);
        return (rest[3] as () => unknown)();
      },
    };
    const moduleKey = { value: () => root.token };
    const creator = Object.create(app.get(ExternalContextCreator), {
      getContextModuleKey: moduleKey,
      getHostModuleKey: moduleKey,
      handlerMetadataStorage: { value: { get() {}, set() {} } },
      guardsConsumer: { value: guardsConsumer },
      interceptorsConsumer: { value: interceptorsConsumer },
    }) as ExternalContextCreator;
    const guard = { canActivate: () => false };
    expect(await callThrough(creator, app.get(Plain), UseOne(guard))).toBe('called');
    expect(asked).toEqual([guard, []]);
  },

  async filtersCreatorOf() {
    const { app, root } = await start({ providers: [Plain] });
    const filter: ExceptionFilter = { catch: (error) => `caught ${error.message}` };
    const handler = () => {};
    UseFilters(filter)({}, 'handler', { value: handler });
    const { filtersContextCreator } = app.get(ExternalContextCreator) as any;
    const made = filtersContextCreator.create(app.get(Plain), handler, root.token, STATIC_CONTEXT, 'none');
    expect(made.invokeCustomFilters(new Error('it'), new ExecutionContextHost([]))).toBe('caught it');
  },

  async hostOf() {
    const handler = () => {};
    const host = new ExecutionContextHost([1, 2], Plain, handler);
    host.setType('event');
    expect([host.getType(), host.getArgs(), host.getClass(), host.getHandler()]).toEqual([
      'event',
      [1, 2],
      Plain,
      handler,
    ]);
  },

  async declareParameters() {
    const { app } = await start({ providers: [Plain] });
    const pipe: PipeTransform = { transform: (value: number, { data }) => [data, value * 2] };
    const handler = (...args: unknown[]) => args;
    UsePipes(pipe)({}, 'handler', { value: handler });
    const parameters = [0, 1].map((index) => [`3:${index}`, { index, data: index, pipes: [] }]);
    Reflect.defineMetadata('own:arguments', Object.fromEntries(parameters), Plain, 'handler');
    const exchangeKeyForValue = (_type: unknown, index: unknown, args: any) => args[index as number];
    const call = app
      .get(ExternalContextCreator)
      .create(app.get(Plain), handler as never, 'handler', 'own:arguments', { exchangeKeyForValue } as never);
    expect(await (call as any)(1, 2)).toEqual([
      [0, 2],
      [1, 4],
    ]);
  },
};

/** A handler with one guard. */
function UseOne(guard: CanActivate) {
  const handler = () => 'called';
  UseGuards(guard)({}, 'handler', { value: handler });
  return handler;
}

const callThrough = (creator: ExternalContextCreator, instance: object, handler: () => unknown) =>
  (creator.create(instance as never, handler as never, 'handler') as () => Promise<unknown>)();

it.each(Object.keys(specs))('%s: Nest is as it is believed to be', (name) => specs[name]());

it('has a spec for each internal', () => {
  const file = fileURLToPath(new URL('../../lib/core/nest/internals.ts', import.meta.url));
  const exported = [...readFileSync(file, 'utf8').matchAll(/^export (?:const|function|\{) ?(\w+)/gm)];
  expect(exported.map(([, name]) => name)).toEqual(Object.keys(specs));
});
