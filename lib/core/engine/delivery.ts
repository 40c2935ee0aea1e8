import type { EventHeaders } from '../events/event-headers.js';
import type { CallbackLimits } from './limits.js';

/** A value that JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The address of a delivery. */
export interface DeliveryAddress {
  /** The event's name, or its class's name. */
  readonly event: string;
  /** The callback's id, as in `Emails.greetNewUser`. */
  readonly callback: string;
}

/** A durable callback, as an engine knows it. */
export interface DurableCallback extends DeliveryAddress {
  /** The ids that the callback had before. */
  readonly formerly: readonly string[];
  readonly isOrdered: boolean;
  /** How many attempts an instance makes at the same time. */
  readonly concurrency: number;
  /** How many attempts all instances make. Absent where that is not limited, and of a remote callback. */
  readonly limits?: CallbackLimits;
  /** Another application has it: this one stores for it, and must change nothing of how that has declared it. */
  readonly isRemote?: boolean;
}

/** An address that instances have declared: `isRemote` says that none of them has done so as its own. */
export type KnownAddress = DeliveryAddress & { readonly isOrdered: boolean; readonly isRemote: boolean };

export interface Delivery extends DeliveryAddress {
  /** A UUID, by default of version 7. One run has one for all its callbacks: it is unique within an address. */
  readonly id: string;
  /**
   * What the application calls it, where that is no UUID: the id is made of this text. It stays in the store as it is, whatever
   * becomes of the delivery, for who looks into it.
   */
  readonly givenId?: string;
  /** The key by which order is kept. Deliveries to ordered callbacks always have one. */
  readonly key?: string;
  /**
   * What travels with it beside its arguments, by names in lower case. It stays readable in the store, and as it was stored, whatever
   * becomes of the delivery. Absent where nothing does, as of those that were stored before there were headers.
   */
  readonly headers?: EventHeaders;
  readonly arguments: readonly Json[];
}

/** A delivery to be stored. */
export interface NewDelivery extends Delivery {
  /** How long it waits until it is due, in milliseconds from when it is stored, or from when its transaction began. */
  readonly delayMs: number;
}
