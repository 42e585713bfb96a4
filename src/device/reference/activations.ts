/**
 * The activation functions and, beside each, its derivative: the living definition, in fp64.
 */
import type { Activation } from "../device.ts";

type Curve = Readonly<Record<Activation, (x: number) => number>>;

export const activations: Curve = {
  gelu: (x) => x * normalBelow(x), // Hendrycks and Gimpel 2016
  gelu_new: (x) => 0.5 * x * (1 + Math.tanh(bend * (x + cubic * x ** 3))),
  silu: (x) => x * sigmoid(x),
  relu: (x) => Math.max(x, 0),
};

export const derivatives: Curve = {
  gelu: (x) => normalBelow(x) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI), // (x P(x))' = P(x) + x p(x)
  gelu_new: (x) => {
    const tanh = Math.tanh(bend * (x + cubic * x ** 3));
    return 0.5 * (1 + tanh) + 0.5 * x * (1 - tanh * tanh) * bend * (1 + 3 * cubic * x * x); // tanh' = 1 - tanh^2
  },
  silu: (x) => sigmoid(x) * (1 + x * sigmoid(-x)), // s' = s(x) s(-x): no 1 - s, which would lose its digits
  relu: (x) => (x > 0 ? 1 : 0), // at 0 either would do; 0 as PyTorch
};

const bend = Math.sqrt(2 / Math.PI);
const cubic = 0.044715;

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** The share of a standard normal distribution that lies below x. */
function normalBelow(x: number): number {
  return 0.5 * (1 + erf(x / Math.SQRT2));
}

/** erf(x) = 2/sqrt(pi) exp(-x^2) sum of 2^n x^(2n+1) / (1 3 5 ... (2n+1)), whose terms all have one sign. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x); // 1 - erf(6) < 1e-16
  let [term, total] = [x, x];
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    total += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total;
}
