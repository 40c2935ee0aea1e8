const WANTED = 'Pass one as in postgres://user@host/database.';

/** What is wrong with the URL of a server, as a message that does not tell the password; nothing, if it will do. */
export function faultOf(url: unknown): string | undefined {
  if (typeof url !== 'string' || url === '') return 'Pass a URL as in postgres://user@host/database.';
  if (/^["'`]/.test(url)) return 'It stands in quotes, which are part of the value: remove them.';
  // The path of a socket, as node-postgres takes it.
  if (/^(?:\/|socket:)/.test(url)) return undefined;
  const scheme = /^([a-z][a-z\d+.-]*):\/\//i.exec(url)?.[1];
  if (scheme === undefined) return `It is no URL. ${WANTED}`;
  if (!/^postgres(?:ql)?$/i.test(scheme)) return `It begins with ${scheme}://. ${WANTED}`;
  const [authority] = url.slice(scheme.length + 3).split(/[/?#]/);
  if (authority.slice(authority.lastIndexOf('@') + 1).includes(',')) {
    return 'It names several hosts, and node-postgres takes one. Name the primary server, or what stands before them.';
  }
  if (!URL.canParse(url) && !URL.canParse(url.replace(/^([^:]*:\/\/)([^@/]*@)?\//, '$1$2localhost/'))) {
    return 'It cannot be read: a password with / ? # @ or % in it must be encoded (encodeURIComponent).';
  }
  const isUserGiven = /^[^:]*:\/\/[^@/:]+(?::[^@/]*)?@/.test(url) || /[?&]user=/.test(url);
  const hasDefault = process.env.PGUSER ?? (process.platform === 'win32' ? process.env.USERNAME : process.env.USER);
  return isUserGiven || hasDefault ? undefined : `It names no user, and PGUSER is not set. ${WANTED}`;
}
