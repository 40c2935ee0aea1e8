import { fileURLToPath } from 'node:url';

const PLACE = /\(?((?:file:\/\/|\/|[A-Za-z]:\\)[^)\n]*?):\d+:\d+\)?$/m;

/**
 * The path of this file; of a copy that is bundled, that of the bundle. Only an ES module has `import.meta`, and only
 * CommonJS a file name: a stack has both.
 */
export function ownFile(): string | undefined {
  if (typeof __filename === 'string') return __filename;
  const place = PLACE.exec(String(new Error('where').stack))?.[1];
  return place?.startsWith('file:') ? fileURLToPath(place) : place;
}
