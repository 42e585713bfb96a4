/**
 * Keys and values of the positions already read, so that each new token costs one position, not all of them again.
 */

export interface KeyValueCache {
  readonly B: number;
  /** Positions held per sequence. */
  readonly lengths: readonly number[];
  /** The most positions it may hold per sequence. */
  readonly capacity: number;
  /** Forgets everything from position `length` on, in all sequences (or one). What stays keeps its place. */
  truncate(length: number, sequence?: number): void;
  dispose(): void;
}
