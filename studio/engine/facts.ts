/** From the engine's steps and distributions to the plain facts the page shows. */
import type { Distribution, ScoredStep, Token, Tokenizer } from "../../src/exports.ts";
import type { Choice, StepFacts, TokenFacts } from "./protocol.ts";

/** Candidates that travel with every token; the page asks for all logits where it needs more. */
export const topCount = 24;

export function tokenFacts({ id, text, bytes, special }: Token): TokenFacts {
  return { id, text, bytes: Uint8Array.from(bytes), special };
}

export function choices(tokenizer: Tokenizer, distribution: Distribution, count: number): Choice[] {
  return distribution.top(count).map(({ id, logit, probability }) => ({ id, text: tokenizer.token(id).text, logit, probability }));
}

/** A token that stood there already: what the model had expected in its place. */
export function scoredFacts(tokenizer: Tokenizer, step: ScoredStep): StepFacts {
  const token = tokenFacts(step.token);
  if (!("distribution" in step))
    return { token, position: 0, probability: undefined, logprob: undefined, rank: undefined, sampledFrom: undefined, top: [], rest: 1 };
  const { position, probability, logprob, rank, sampledFrom, distribution } = step;
  return {
    token,
    position,
    probability,
    logprob,
    rank,
    sampledFrom,
    top: choices(tokenizer, distribution, topCount),
    rest: distribution.rest(topCount),
  };
}
