// What durable deliveries cost as more of them lie in the store, as keys, delays and instances grow: in processor time of the
// server. `npm run bench:growth` builds first. It uses the server that DATABASE_URL names, or a local one, and starts a Redis
// server. Where the processes of the servers are not to be seen, it is time that passes instead.
//
//   --only=claiming,reading   only these parts: claiming, reading, searching, claims, idle, transactions, idleRedis, blocking
//   --quick                   with a tenth of the rows
//   --dist=<folder>           measures another build, which lies in this project, so that it finds the same Nest
//
// Exits with 1 when a goal is missed.
import { only } from './growth/application.mjs';
import { claiming } from './growth/claiming.mjs';
import { claims, idle, transactions } from './growth/instances.mjs';
import { printGoals } from './growth/measure.mjs';
import { blocking, idleRedis } from './growth/on-redis.mjs';
import { reading } from './growth/reading.mjs';
import { searching } from './growth/searching.mjs';
import { dropAll } from './growth/stores.mjs';

const parts = { claims, idle, idleRedis, transactions, claiming, reading, searching, blocking };

try {
  for (const [name, measure] of Object.entries(parts)) {
    if (only && !only.includes(name)) continue;
    const startedAt = performance.now();
    console.log(`\n${name}`);
    await measure().catch((error) => {
      console.log(`  FAILED ${error.stack}`);
      process.exitCode = 1;
    });
    console.log(`  (${((performance.now() - startedAt) / 1_000).toFixed(0)} s)`);
  }
} finally {
  await dropAll();
}
printGoals();
