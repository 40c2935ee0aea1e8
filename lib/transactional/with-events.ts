import { type TransactionalAdapter, TransactionHost } from '@nestjs-cls/transactional';
import { TELLS_EVENTS, withEventsInvalid } from '../core/seams.js';
import { inTransaction, type TransactionScope } from '../index.js';

/** The way in which an adapter opens transactions on its connection. */
type AdapterOptions = ReturnType<TransactionalAdapter<any, any, any>['optionsFactory']>;
type Wrap = AdapterOptions['wrapWithTransaction'];
type WrapNested = NonNullable<AdapterOptions['wrapWithNestedTransaction']>;

/** `@nestjs-cls/transactional` adds the name of the connection. */
type Named = AdapterOptions & { readonly connectionName?: string };

/**
 * Lets events know of the transactions that `@Transactional()` and `TransactionHost` open: a run inside one belongs to it,
 * as inside `inTransaction()`.
 *
 * @param adapter any adapter of `@nestjs-cls/transactional`
 * @example
 * new ClsPluginTransactional({
 *   imports: [TypeOrmModule],
 *   adapter: withEvents(new TransactionalAdapterTypeOrm({ dataSourceToken: getDataSourceToken() })),
 * })
 */
export function withEvents<Adapter extends TransactionalAdapter<any, any, any>>(adapter: Adapter): Adapter {
  if (typeof adapter?.optionsFactory !== 'function') throw withEventsInvalid(adapter);
  const optionsFactory: typeof adapter.optionsFactory = (connection, extraProviders) => {
    const inner = adapter.optionsFactory(connection, extraProviders);
    return { ...inner, ...wrapped(inner), [TELLS_EVENTS]: true };
  };
  // An adapter's own methods, among them Nest's hooks, go on to find its fields.
  return new Proxy(adapter, {
    get: (target, name) => (name === 'optionsFactory' ? optionsFactory : Reflect.get(target, name, target)),
  });
}

function wrapped(inner: AdapterOptions): Partial<AdapterOptions> {
  const { wrapWithTransaction, wrapWithNestedTransaction } = inner;
  return {
    async wrapWithTransaction(this: Named, options, work, setTx) {
      const open: Wrap = (...args) => wrapWithTransaction.call(inner, ...args);
      return watched(this.connectionName, null, work, setTx, (run, set) => open(options, run, set));
    },
    // Its absence says that the adapter cannot nest.
    ...(wrapWithNestedTransaction && {
      async wrapWithNestedTransaction(this: Named, options, work, setTx, tx) {
        const open: WrapNested = (...args) => wrapWithNestedTransaction.call(inner, ...args);
        return watched(this.connectionName, tx, work, setTx, (run, set) => open(options, run, set, tx));
      },
    }),
  };
}

type Work = Parameters<Wrap>[1];
type SetTx = Parameters<Wrap>[2];

/** Opens a transaction in the adapter's way, which says by `setTx()` what it has opened. */
function watched(
  connectionName: string | undefined,
  partOf: object | null,
  work: Work,
  setTx: SetTx,
  open: (work: Work, setTx: SetTx) => Promise<any>,
): Promise<any> {
  let opened: object;
  const scope: TransactionScope = {
    partOf,
    isCurrent(tx): boolean {
      const host = TransactionHost.getInstance(connectionName);
      return host.isTransactionActive() && host.tx === tx;
    },
    leave: (work) => TransactionHost.getInstance(connectionName).withoutTransaction(work),
    // What waits for the end must not find what has ended.
    ...(partOf === null && { onEnd: () => setTx(undefined) }),
  };
  return inTransaction<any, any>(
    (run) =>
      open(
        () => run(opened),
        (tx) => {
          opened = tx;
          setTx(tx);
        },
      ),
    () => work(),
    scope,
  );
}
