/**
 * The lines of `inspect --json`, documented in docs/json.md under the same contract as those of json.ts.
 */
import type { Distribution } from "../generation/distribution.ts";
import type { Contributions, HeadStages, Lens, Neurons, Push, Pushed } from "../inspection/inspection.ts";
import type { MatrixFormat } from "../device/device.ts";
import type { ModelInfo } from "../engine/engine.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

interface JsonToken {
  readonly id: number;
  readonly text: string;
}

interface Candidate extends JsonToken {
  readonly logit: number;
  readonly probability: number;
}

interface JsonPushed extends JsonToken {
  readonly amount: number;
}

/** A token that is followed through the stages. */
interface JsonFollowed extends JsonToken {
  readonly probability: number;
  readonly rank: number;
}

/** The first line: what is looked into. */
export interface InspectLine {
  readonly type: "inspect";
  readonly text: string;
  readonly tokens: readonly JsonToken[];
  readonly model: string;
  readonly device: string;
  readonly weights: MatrixFormat | null;
}

/** One stage at one position. */
export interface LensLine {
  readonly type: "lens";
  readonly position: number;
  readonly stage: string;
  readonly layer: number;
  readonly point: "pre" | "mid" | "post";
  readonly top: readonly Candidate[];
  /** The model's own favourite there. */
  readonly final: JsonFollowed;
  /** The token that comes next in the text; null at the end. */
  readonly target: JsonFollowed | null;
}

export interface ContributionsLine {
  readonly type: "contributions";
  readonly position: number;
  readonly target: JsonToken;
  readonly logit: number;
  readonly relative: boolean;
  /** In the order of the forward pass. */
  readonly pushes: readonly {
    readonly kind: Push["kind"];
    /** null outside the blocks. */
    readonly layer: number | null;
    /** null for all but heads. */
    readonly head: number | null;
    readonly amount: number;
  }[];
}

export interface AttentionLine {
  readonly type: "attention";
  readonly layer: number;
  readonly head: number;
  /** Row i: how much position i looks at each position up to itself. */
  readonly pattern: readonly (readonly number[])[];
  /** The same times the length of what each value becomes in the residual stream. */
  readonly weighted: readonly (readonly number[])[];
}

export interface NeuronsLine {
  readonly type: "neurons";
  readonly layer: number;
  readonly position: number;
  readonly neurons: readonly {
    readonly index: number;
    readonly activation: number;
    readonly strength: number;
    readonly promotes: readonly JsonPushed[];
    readonly suppresses: readonly JsonPushed[];
  }[];
}

export interface MuteLine {
  readonly type: "mute";
  readonly position: number;
  /** As --mute names them. */
  readonly muted: readonly string[];
  readonly before: readonly Candidate[];
  readonly after: readonly Candidate[];
  /** Of the one after from the one before: Kullback-Leibler, in nats. null where infinite. */
  readonly divergence: number | null;
}

export function inspectLine(text: string, ids: readonly number[], { name: model, device, weights }: ModelInfo, tokenizer: Tokenizer): InspectLine {
  return { type: "inspect", text, tokens: ids.map((id) => tokenOf(id, tokenizer)), model, device, weights: weights ?? null };
}

/** The lines of position number `t` of a lens. */
export function lensLines(lens: Lens, t: number, tokenizer: Tokenizer): LensLine[] {
  const { top, positions, final, target } = lens;
  const T = positions.length;
  return lens.stages.map(({ name: stage, layer, point }, s): LensLine => {
    const at = s * T + t;
    const followed = ({ ids, probabilities, ranks }: Lens["final"]): JsonFollowed => ({
      ...tokenOf(ids[t], tokenizer),
      probability: probabilities[at],
      rank: ranks[at],
    });
    return {
      type: "lens",
      position: positions[t],
      stage,
      layer,
      point,
      top: Array.from({ length: top }, (_, n) => ({
        ...tokenOf(lens.ids[at * top + n], tokenizer),
        logit: lens.logits[at * top + n],
        probability: lens.probabilities[at * top + n],
      })),
      final: followed(final),
      target: target.ids[t] < 0 ? null : followed(target),
    };
  });
}

export function contributionsLine({ position, target, logit, relative, pushes }: Contributions, tokenizer: Tokenizer): ContributionsLine {
  return {
    type: "contributions",
    position,
    target: tokenOf(target, tokenizer),
    logit,
    relative,
    pushes: pushes.map(({ kind, layer, head, amount }) => ({ kind, layer: layer < 0 ? null : layer, head: head < 0 ? null : head, amount })),
  };
}

export function attentionLine({ layer, head, positions: T, pattern, weighted }: HeadStages): AttentionLine {
  const rows = (square: Float32Array): number[][] => Array.from({ length: T }, (_, i) => Array.from(square.subarray(i * T, i * T + i + 1)));
  return { type: "attention", layer, head, pattern: rows(pattern), weighted: rows(weighted) };
}

export function neuronsLine({ layer, position, neurons }: Neurons, tokenizer: Tokenizer): NeuronsLine {
  const pushed = (list: readonly Pushed[]): JsonPushed[] => list.map(({ id, amount }) => ({ ...tokenOf(id, tokenizer), amount }));
  return {
    type: "neurons",
    layer,
    position,
    neurons: neurons.map((neuron) => ({ ...neuron, promotes: pushed(neuron.promotes), suppresses: pushed(neuron.suppresses) })),
  };
}

/** What the model says before and after parts were muted. */
export interface Muted {
  readonly position: number;
  readonly names: readonly string[];
  readonly before: Distribution;
  readonly after: Distribution;
  readonly divergence: number;
}

export function muteLine({ position, names, before, after, divergence }: Muted, top: number, tokenizer: Tokenizer): MuteLine {
  const candidates = (distribution: Distribution): Candidate[] =>
    distribution.top(top).map(({ id, logit, probability }) => ({ ...tokenOf(id, tokenizer), logit, probability }));
  return {
    type: "mute",
    position,
    muted: names,
    before: candidates(before),
    after: candidates(after),
    divergence: Number.isFinite(divergence) ? divergence : null,
  };
}

function tokenOf(id: number, tokenizer: Tokenizer): JsonToken {
  return { id, text: tokenizer.token(id).text };
}
