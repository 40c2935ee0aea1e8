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
    for (const imported of listedImports(module)) visit(imported);
    ordered.add(module);
  };
  for (const module of modules.values()) visit(module);
  return [...ordered];
}

/**
 * Nest adds every global module to the imports of every module, behind those that the module lists itself; only the
 * listed ones count here.
 */
function listedImports(module: NestModule): NestModule[] {
  const { metatype, token } = module;
  const { container } = module as unknown as { container?: Container };
  const listed = new Set<unknown>([
    ...((Reflect.getMetadata('imports', metatype) as unknown[]) ?? []),
    ...((container?.getDynamicMetadataByToken(token, 'imports') as unknown[]) ?? []),
  ]);
  return [...module.imports].filter((imported, index) => !imported.isGlobal || index < listed.size);
}

/** The part of Nest's container that knows what `forRoot()` and its like imported. It is not public. */
interface Container {
  getDynamicMetadataByToken(token: string, metadataKey: string): unknown;
}
