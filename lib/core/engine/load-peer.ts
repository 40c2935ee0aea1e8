import { isMissing, withVersion, wrongVersion } from './installed-packages.js';

/**
 * Imports an optional peer. Says which packages are missing, and how to get them, when it or something that it needs is not
 * there, and when it is of a version that does not fit.
 *
 * @param others the packages that are needed, too: if they are missing as well, all are named at once
 */
export async function loadPeer<T>(
  name: string,
  importing: () => Promise<T>,
  others: readonly string[] = [],
): Promise<T> {
  let loaded: T;
  try {
    loaded = await importing();
  } catch (cause) {
    if ((cause as { code?: unknown }).code === NO_IMPORT) throw inCommonJsOfJest(name, cause);
    const missing = missingIn(cause);
    if (missing === undefined) throw wrongPeer(name, cause) ?? cause;
    const all = [...new Set([missing, ...others.filter(isMissing)])];
    const needed = all.length === 1 && missing !== name ? `, which ${name} needs,` : '';
    throw new Error(
      `the package${all.length > 1 ? 's' : ''} ${inWords(all)}${needed} ${all.length > 1 ? 'are' : 'is'} not there. ` +
        `Install ${all.length > 1 ? 'them' : 'it'}: npm install ${all.map(withVersion).join(' ')}`,
      { cause },
    );
  }
  const wrong = wrongPeer(name);
  if (wrong) throw wrong;
  return loaded;
}

function wrongPeer(name: string, cause?: unknown): Error | undefined {
  const wrong = wrongVersion(name);
  if (!wrong) return undefined;
  const { found, wanted } = wrong;
  const install = wanted.split('||').at(-1)!.trim();
  return new Error(
    `the package ${name} is there in version ${found}, and ${wanted} is wanted. Install that: npm install "${name}@${install}"`,
    cause === undefined ? {} : { cause },
  );
}

/** What Node says where Jest runs a file as CommonJS, which then can import nothing. */
const NO_IMPORT = 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING_FLAG';

const inCommonJsOfJest = (name: string, cause: unknown) =>
  new Error(
    `the package ${name} is an ES module, and Jest imports none here. Use TestEventsModule of 'nestjs-callbacks/testing', whose engine ` +
      'is in memory; or run Jest by node --experimental-vm-modules node_modules/.bin/jest.',
    { cause },
  );

const CODES: readonly unknown[] = ['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'];

/** The package that an import has not found. A file that is missing within one is no missing package. */
function missingIn(error: unknown): string | undefined {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (!CODES.includes(code)) return undefined;
  const specifier = /Cannot find (?:package|module) ["']([^"']+)["']/.exec(String(message))?.[1];
  return specifier && PACKAGE.exec(specifier)?.[0];
}

/** The package of `@scope/name/file`; nothing of a path. */
const PACKAGE = /^(?:@[^/\\:]+\/)?[^@./\\:][^/\\:]*(?![^/]*:)/;

const inWords = (names: readonly string[]) =>
  names.length === 1 ? names[0] : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
