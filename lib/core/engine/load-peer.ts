/** Imports an optional peer, and says how to get it when it is not there. */
export async function loadPeer<T>(name: string, importing: () => Promise<T>): Promise<T> {
  try {
    return await importing();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const isMissing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
    if (!isMissing) throw cause;
    throw new Error(`the package ${name} is not there. Install it: npm install ${name}`, { cause });
  }
}
