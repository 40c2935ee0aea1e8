/**
 * What travels with a run to each of its callbacks, beside its arguments: a tenant, ids, the context of a trace. Names are in lower
 * case. Headers are stored in the clear with durable deliveries: put no secrets there.
 */
export type EventHeaders = Readonly<Record<string, string>>;
