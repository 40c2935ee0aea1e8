import { createHash } from 'node:crypto';
import { uuidv7 } from 'uuidv7';
import type { Term } from '../engine/index.js';
import type { Connection } from './connection/connection.js';
import type { InstanceStatements } from './statements/instances.js';
import type { Due } from './statements/sweep.js';

/** From one queue to another. */
export interface Move {
  readonly from: string;
  readonly to: string;
}

interface Member {
  readonly queues: ReadonlySet<string>;
  readonly moves: readonly Move[];
}

const QUERY_TIMEOUT_MS = 5_000;
/** Closing does not wait longer for a database that is away. */
const LEAVING_MS = 1_000;

/** What an instance learns when it says that it lives. */
export interface Beat extends Term {
  /** What is due, if it was looked for. */
  readonly due?: readonly Due[] | null;
}

/** The instances that work on the same deliveries, as this one knows them. Each says every few seconds that it lives. */
export class Instances {
  /** The longer an instance has been there, the lower it is. */
  readonly id: string = uuidv7();
  private readonly queues = new Set<string>();
  private moves: readonly Move[] = [];
  /** Grows with what this instance works on. */
  private version = 0;
  private isKnown = false;
  private others = '';
  private members: ReadonlyMap<string, Member> = new Map();

  constructor(
    private readonly connection: Connection,
    /** Without them, as the schema is an older version's, each instance has the duty, and is called to everything. */
    private readonly statements: InstanceStatements | undefined,
    private readonly channel: string,
  ) {}

  /** Has this instance known to work on a queue. */
  workOn(queue: string): void {
    this.queues.add(queue);
    this.isKnown = false;
  }

  /** Has the moves made, whichever instance has the duty. */
  askFor(moves: readonly Move[]): void {
    this.moves = [...this.moves, ...moves];
    this.isKnown = false;
  }

  /** All queues that somebody works on. */
  get worked(): string[] {
    return [...new Set([...this.members.values(), this.own].flatMap(({ queues }) => [...queues]))];
  }

  /** All moves that somebody asks for. */
  get wanted(): Move[] {
    const moves = [...this.members.values(), this.own].flatMap((member) => member.moves);
    return [...new Map(moves.map((move) => [`${move.from} ${move.to}`, move])).values()];
  }

  /**
   * Says that it lives, and learns who else does. If it has the duty, looks for what is due: claims are taken back that have run
   * out, except for these.
   */
  async beat(claims: readonly string[]): Promise<Beat> {
    if (!this.statements) return { isHeld: true };
    if (!this.isKnown) await this.join(this.statements);
    const beat = [this.id, this.worked, claims];
    const [{ isKnown, others, hasDuty, askInMs, due }] = await this.query(this.statements.beat, beat);
    this.isKnown &&= isKnown as boolean;
    if (others !== this.others) {
      await this.learn(this.statements);
      this.others = others as string;
    }
    return {
      isHeld: hasDuty as boolean,
      // Soon, if the others do not know yet what it works on.
      askInMs: this.isKnown ? (askInMs as number) : undefined,
      due: due as Due[] | null,
    };
  }

  /**
   * The one instance that is to look into a queue, of those that work on it: all that know the same instances agree on it.
   *
   * @param seed by which another is chosen each time
   */
  first(queue: string, seed: string): string | undefined {
    let [first, highest]: [string | undefined, string] = [undefined, ''];
    for (const id of this.on(queue)) {
      const weight = createHash('md5').update(`${seed} ${id}`).digest('hex');
      if (weight > highest) [first, highest] = [id, weight];
    }
    return first;
  }

  /** The instance that comes after one, of those that work on a queue; `undefined` if there is no other. */
  after(queue: string, id: string): string | undefined {
    const ids = this.on(queue).toSorted();
    const next = ids.find((one) => one > id) ?? ids[0];
    return next === id ? undefined : next;
  }

  async forgetDead(): Promise<void> {
    if (this.statements) await this.query(this.statements.forgetDead, []);
  }

  /** Tells the others that it works no more. */
  async leave(): Promise<void> {
    this.members = new Map();
    this.queues.clear();
    if (this.statements) await this.query(this.statements.leave, [this.id, this.channel], LEAVING_MS);
  }

  private get own(): Member {
    return { queues: this.queues, moves: this.moves };
  }

  private on(queue: string): string[] {
    const others = [...this.members].flatMap(([id, { queues }]) => (id !== this.id && queues.has(queue) ? [id] : []));
    return this.queues.has(queue) ? [...others, this.id] : others;
  }

  private async join({ join }: InstanceStatements): Promise<void> {
    this.isKnown = true;
    const params = [this.id, ++this.version, JSON.stringify([...this.queues]), JSON.stringify(this.moves)];
    await this.query(join, params).catch((error: unknown) => {
      this.isKnown = false;
      throw error;
    });
  }

  private async learn({ members }: InstanceStatements): Promise<void> {
    const rows = await this.query(members, [this.id]);
    this.members = new Map(
      rows.map(({ id, queues, moves }) => [
        id as string,
        { queues: new Set(queues as string[]), moves: moves as Move[] },
      ]),
    );
  }

  private async query(
    statement: string,
    params: unknown[],
    timeoutMs = QUERY_TIMEOUT_MS,
  ): Promise<Record<string, unknown>[]> {
    const { rows } = await this.connection.query(statement, params, timeoutMs);
    return rows;
  }
}
