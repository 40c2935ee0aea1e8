import type { ModulesContainer } from '@nestjs/core';
import { listedImportsOf, type NestModule } from './internals.js';

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
    for (const imported of importsOf(module)) visit(imported);
    ordered.add(module);
  };
  for (const module of modules.values()) visit(module);
  return [...ordered];
}

/**
 * Nest adds every global module to the imports of every module, behind those that the module lists. Only the listed count
 * here.
 */
function importsOf(module: NestModule): NestModule[] {
  const listed = new Set(listedImportsOf(module));
  return [...module.imports].filter((imported, index) => !imported.isGlobal || index < listed.size);
}
