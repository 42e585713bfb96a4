/** Softmax one step at a time, for people who want to see each: divide by T, subtract the largest, exp, divide by the sum. */

export interface StepsRow {
  readonly id: number;
  readonly logit: number;
  /** logit / T. */
  readonly divided: number;
  /** That minus the largest one: 0 or less, so that exp cannot overflow. */
  readonly shifted: number;
  /** exp of that, from 0 to 1. */
  readonly weight: number;
  readonly probability: number;
}

export interface SoftmaxSteps {
  readonly rows: readonly StepsRow[];
  /** Largest logit / T. */
  readonly largest: number;
  /** Sum of the weights of all V tokens. */
  readonly sum: number;
  /** All tokens without a row. */
  readonly others: { readonly count: number; readonly weight: number; readonly probability: number };
}

/** `temperature` above 0. */
export function softmaxSteps(logits: Float32Array, temperature: number, ids: readonly number[]): SoftmaxSteps {
  let most = -Infinity;
  for (const logit of logits) most = Math.max(most, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp((logit - most) / temperature);
  const rows = ids.map((id) => {
    const shifted = (logits[id] - most) / temperature;
    const weight = Math.exp(shifted);
    return { id, logit: logits[id], divided: logits[id] / temperature, shifted, weight, probability: weight / sum };
  });
  const count = logits.length - ids.length;
  const weight = count === 0 ? 0 : Math.max(0, sum - rows.reduce((total, row) => total + row.weight, 0));
  return { rows, largest: most / temperature, sum, others: { count, weight, probability: weight / sum } };
}
