/**
 * What the sliders make of one set of logits, for the rows that are shown: the logit, its softmax after the temperature, and what the filters
 * leave of it. The library's own sampler does it, in the page, so that a slider never waits for the worker.
 */
import { distributionOf, sampler } from "../../engine/engine-client.ts";
import type { CompleteDistribution } from "../../engine/engine-client.ts";
import type { Sampling } from "../../engine/protocol.ts";

/** Logits as they came from the model, with its own distribution (T = 1), from which everything else is made. */
export interface Own {
  readonly logits: Float32Array;
  readonly distribution: CompleteDistribution;
  /** Ids that no token stands behind: never drawn. */
  readonly banned: ReadonlySet<number>;
  /** The most probable one; ties go to the lower id. */
  readonly best: number;
  /** Ranks and probabilities of rows, which no slider changes. */
  readonly known: Map<number, { readonly rank: number; readonly probability: number }>;
}

/** A rule that takes a token out; the first of them where several do, but min-p before top-p. */
export type Cut = "temperature" | "topK" | "topP" | "minP" | "noToken";

export interface Row {
  readonly id: number;
  /** 1 = most probable. */
  readonly rank: number;
  readonly logit: number;
  /** The model's own: T = 1, nothing filtered. */
  readonly probability: number;
  /** softmax(logits / T). */
  readonly tempered: number;
  /** After the filters: what it is really drawn with (`sampledFrom`). */
  readonly drawn: number;
  /** Undefined for tokens that may still be drawn. */
  readonly cut: Cut | undefined;
}

export interface Spread {
  readonly rows: readonly Row[];
  /** What the tokens without a row have together, and how many they are. */
  readonly rest: { readonly tempered: number; readonly drawn: number; readonly count: number; readonly kept: number };
  /** Tokens that may be drawn. */
  readonly kept: number;
  /** What the kept ones had before they were made to sum to 1. */
  readonly keptMass: number;
  /** Of the most probable one, after the temperature. */
  readonly topShare: number;
  /** In bits, after the temperature. */
  readonly entropy: number;
}

export function ownOf(logits: Float32Array, banned: readonly number[] = []): Own {
  const distribution = distributionOf(logits);
  return { logits, distribution, banned: new Set(banned), best: distribution.top(1)[0].id, known: new Map() };
}

/** softmax(logits / T); at T = 0 everything on the most probable one, the lower id of equals. */
export function tempered(own: Own, temperature: number): CompleteDistribution {
  return sampler({ temperature }).filter(own.distribution, [], []);
}

function known(own: Own, id: number): { readonly rank: number; readonly probability: number } {
  let facts = own.known.get(id);
  if (!facts) own.known.set(id, (facts = { rank: own.distribution.rank(id), probability: own.distribution.probability(id) }));
  return facts;
}

/** Rows in the order of `ids`. */
export function spread(own: Own, knobs: Sampling, ids: readonly number[]): Spread {
  const { logits, distribution, banned } = own;
  const V = logits.length;
  const { temperature, topK, topP, minP } = knobs;
  const holes = [...banned];
  const filters = (topK > 0 && topK < V) || topP < 1 || minP > 0;
  const after = tempered(own, temperature);
  const drawn = filters || holes.length > 0 ? sampler({ temperature, topK, topP, minP }, holes).filter(distribution, [], []) : after;
  const [favourite] = drawn.top(1);

  // What is left is read off the logits: only filters write -Infinity there. Asking a filtered distribution for one id after the other would
  // have it build a map of thousands; what all kept ones share is how much they grew when they were made to sum to 1.
  const left = filters && temperature > 0 ? drawn.logits : undefined;
  const isKept = (id: number): boolean => (temperature === 0 ? id === favourite.id : left ? left[id] !== -Infinity : !banned.has(id));
  let kept = temperature === 0 ? 1 : V - banned.size;
  if (left) {
    kept = 0;
    for (let id = 0; id < V; id++) if (left[id] !== -Infinity) kept++;
  }
  const keptMass = drawn === after ? 1 : Math.min(1, after.probability(favourite.id) / favourite.probability);

  const threshold = logits[favourite.id] + temperature * Math.log(minP); // of min-p, as the sampler has it
  const cutOf = (id: number, rank: number): Cut | undefined => {
    if (isKept(id)) return undefined;
    if (banned.has(id)) return "noToken";
    if (temperature === 0) return "temperature";
    if (topK > 0 && rank > topK) return "topK";
    return minP > 0 && logits[id] < threshold ? "minP" : "topP";
  };
  const shareOf = (id: number, share: number): number => {
    if (temperature === 0) return 1;
    return keptMass > 0 ? share / keptMass : drawn.probability(id); // a hole can be so far ahead that fp64 has nothing left for the others
  };

  const shown = { tempered: 0, drawn: 0, kept: 0 };
  const rows = ids.map((id): Row => {
    const { rank, probability } = known(own, id);
    const cut = cutOf(id, rank);
    const share = after.probability(id);
    const row = { id, rank, logit: logits[id], probability, tempered: share, drawn: cut === undefined ? shareOf(id, share) : 0, cut };
    shown.tempered += row.tempered;
    shown.drawn += row.drawn;
    if (cut === undefined) shown.kept++;
    return row;
  });
  const rest = (sum: number, count: number): number => (count === 0 ? 0 : Math.max(0, 1 - sum));
  return {
    rows,
    rest: {
      tempered: rest(shown.tempered, V - ids.length),
      drawn: rest(shown.drawn, kept - shown.kept),
      count: V - ids.length,
      kept: kept - shown.kept,
    },
    kept,
    keptMass,
    topShare: after.probability(own.best),
    entropy: after.entropy(),
  };
}

/** The best `count`, then those of `more` that are not among them. */
export function rowIds(own: Own, count: number, more: readonly number[]): readonly number[] {
  const ids = own.distribution.top(count).map(({ id }) => id);
  return [...new Set([...ids, ...more.filter((id) => id < own.logits.length)])];
}
