/**
 * How far apart two predictions of the same token are, for telling what a change to a model costs.
 */
import { VitrineError } from "../base/errors.ts";
import type { Distribution } from "./distribution.ts";

/**
 * Kullback-Leibler divergence of q from p, the sum over all tokens of p ln(p / q), in nats: 0 when they are equal, infinite when q rules
 * out what p does not (Kullback and Leibler 1951). Computed in fp64 from the logits of both. Throws VitrineError where logits are missing or not as many.
 */
export function divergence(p: Distribution, q: Distribution): number {
  const [a, b] = [p.logits, q.logits];
  if (a === undefined || b === undefined) throw new VitrineError("divergence: an API's distribution has no logits; compare two local models");
  if (a.length !== b.length) throw new VitrineError(`divergence: ${a.length} logits and ${b.length}; compare models with the same vocabulary`);
  const [shiftA, shiftB] = [logSumExp(a), logSumExp(b)];
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    if (a[i] === -Infinity) continue; // 0 ln 0 = 0
    const logP = a[i] - shiftA;
    sum += Math.exp(logP) * (logP - (b[i] - shiftB));
  }
  return Math.max(0, sum); // never below 0 but for rounding
}

function logSumExp(logits: Float32Array): number {
  let max = -Infinity;
  for (const x of logits) max = Math.max(max, x);
  let sum = 0;
  for (const x of logits) sum += Math.exp(x - max);
  return max + Math.log(sum);
}
