import pg from 'pg';

/** A database of its own on a server, for as long as a spec wants it. Where specs are skipped, there is no server. */
export function temporaryDatabase(admin: string | undefined, name: string) {
  const database = `${name}_${process.pid}`;
  const administer = async (statement: string) => {
    const client = new pg.Client({ connectionString: admin });
    await client.connect();
    await client.query(statement).finally(() => client.end());
  };
  return {
    url: admin ? Object.assign(new URL(admin), { pathname: database }).href : '',
    create: () => administer(`create database ${database}`),
    drop: () => administer(`drop database if exists ${database} with (force)`),
    administer,
  };
}
