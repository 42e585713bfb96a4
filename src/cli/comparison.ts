/**
 * `score --compare`: what small weights cost, position by position against the same model in fp32.
 */
import { divergence } from "../generation/divergence.ts";
import type { ScoredStep } from "../engine/engine.ts";
import type { CompareLine } from "./json.ts";
import { percent } from "./numbers.ts";

/** Sums over the positions that have a prediction. */
export class Comparison {
  readonly #weights: string;
  readonly #base: string;
  #positions = 0;
  #divergence = 0;
  #most = 0;
  #sameTop = 0;
  #nats = 0;
  #baseNats = 0;

  /** Names of the two formats: the one asked for, and the one it is compared with. */
  constructor(weights: string, base: string) {
    this.#weights = weights;
    this.#base = base;
  }

  /** The same position as both models see it. */
  add(step: ScoredStep, base: ScoredStep): void {
    if (!("probability" in step) || !("probability" in base)) return;
    const nats = divergence(base.distribution, step.distribution);
    this.#positions++;
    this.#divergence += nats;
    this.#most = Math.max(this.#most, nats);
    if (step.distribution.top(1)[0].id === base.distribution.top(1)[0].id) this.#sameTop++;
    this.#nats -= step.logprob;
    this.#baseNats -= base.logprob;
  }

  line(): CompareLine {
    const mean = (sum: number): number | null => (this.#positions > 0 && Number.isFinite(sum) ? sum / this.#positions : null);
    const perplexity = (nats: number): number | null => {
      const value = Math.exp(mean(nats) ?? NaN);
      return Number.isFinite(value) ? value : null;
    };
    return {
      type: "compare",
      weights: this.#weights,
      with: this.#base,
      positions: this.#positions,
      divergence: mean(this.#divergence),
      mostDivergence: this.#positions > 0 && Number.isFinite(this.#most) ? this.#most : null,
      sameTop: mean(this.#sameTop),
      perplexity: perplexity(this.#nats),
      perplexityWith: perplexity(this.#baseNats),
    };
  }
}

/** A comparison in a few lines for people. */
export function comparisonText({
  weights,
  with: base,
  positions,
  divergence,
  mostDivergence,
  sameTop,
  perplexity,
  perplexityWith,
}: CompareLine): string {
  if (positions === 0) return `${weights} against ${base}: nothing to compare, since a prediction needs something before it`;
  const rise = perplexity === null || perplexityWith === null ? undefined : 100 * (perplexity / perplexityWith - 1);
  return [
    `${weights} weights against ${base}`,
    ...(rise === undefined
      ? []
      : [`perplexity     ${perplexity!.toFixed(4)} against ${perplexityWith!.toFixed(4)} (${rise < 0 ? "" : "+"}${rise.toFixed(3)} %)`]),
    `KL divergence  ${divergence === null ? "infinite" : `${divergence.toExponential(2)} nats a token, ${mostDivergence!.toExponential(2)} at most`}`,
    `same favourite ${percent(sameTop!).trim()} of the time`,
  ].join("\n");
}
