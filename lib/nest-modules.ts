import type { DiscoveryService, ModulesContainer } from '@nestjs/core';

/** Nest's record of one module, as `ModulesContainer` holds it. */
export type NestModule = ModulesContainer extends Map<string, infer Module> ? Module : never;

/** Nest's record of one provider or controller. */
export type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];

/**
 * All modules, imported ones before their importer, depth first, as listed, first visit wins; lazily loaded ones last,
 * since Nest holds the root module before them.
 */
export function modulesInOrder(modules: ModulesContainer): NestModule[] {
  const ordered = new Set<NestModule>();
  const visited = new Set<NestModule>();
  const visit = (module: NestModule): void => {
    if (visited.has(module)) return;
    visited.add(module);
    for (const imported of module.imports) {
      if (!imported.isGlobal || isListed(imported, module)) visit(imported);
    }
    ordered.add(module);
  };
  for (const module of modules.values()) visit(module);
  return [...ordered];
}

/** Nest adds every global module to the imports of every module; only those that the module itself lists count here. */
function isListed(imported: NestModule, module: NestModule): boolean {
  const { metatype, token } = module;
  const { container } = module as unknown as { container?: Container };
  const listed: unknown[] = [
    ...((Reflect.getMetadata('imports', metatype) as unknown[]) ?? []),
    ...((container?.getDynamicMetadataByToken(token, 'imports') as unknown[]) ?? []),
  ];
  return listed.some((entry) => {
    // A promise of a dynamic module cannot be looked into: it may be this one.
    if (entry instanceof Promise) return true;
    const { forwardRef, module = forwardRef?.() ?? entry } = entry as { forwardRef?(): unknown; module?: unknown };
    return ((module as { module?: unknown }).module ?? module) === imported.metatype;
  });
}

/** The part of Nest's container that knows what `forRoot()` and its like imported. It is not public. */
interface Container {
  getDynamicMetadataByToken(token: string, metadataKey: string): unknown;
}
