/** Small decisions about how numbers are drawn and written in this panel. */
import { percent } from "../../state/format.ts";

/** Where logits are drawn: from 0 when 0 is near, else from a little below the lowest one shown. */
export function logitDomain(logits: readonly number[]): { readonly low: number; readonly high: number; readonly zero: boolean } {
  const finite = logits.filter(Number.isFinite);
  if (finite.length === 0) return { low: 0, high: 1, zero: true };
  const low = Math.min(...finite);
  const high = Math.max(...finite);
  const span = Math.max(high - low, 1e-6);
  if (low <= 0 && high >= 0) return { low, high: high === low ? low + 1 : high, zero: true };
  if (low > 0 && low <= 2 * span) return { low: 0, high, zero: true };
  if (high < 0 && -high <= 2 * span) return { low, high: 0, zero: true };
  return { low: low - span / 8, high, zero: false };
}

/** A share, however small: 3.2e-9 is "3.2 × 10⁻⁷ %". */
export function exactShare(p: number): string {
  if (p === 0 || p >= 1e-5) return percent(p);
  const [digits, power] = (p * 100).toExponential(1).split("e");
  const raised = power.replace("+", "").replaceAll(/[-\d]/g, (sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(sign)]));
  return `${digits} × 10${raised} %`;
}

/** For the depth "story": no decimals where they say nothing. */
export function roundShare(p: number): string {
  return p === 0 ? "0 %" : p < 0.005 ? "<1 %" : p > 0.995 && p < 1 ? ">99 %" : `${Math.round(p * 100)} %`;
}

/** Choices of the top-k slider: close together where they matter; 0 (all) at the end. */
export function topKChoices(V: number): readonly number[] {
  const ks: number[] = [];
  for (let decade = 1; decade < V; decade *= 10)
    for (const digit of decade === 1 ? [1, 2, 3, 4, 5, 6, 7, 8, 9] : [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8]) {
      const k = Math.round(digit * decade);
      if (k < V) ks.push(k);
    }
  return [...ks, 0];
}

/** The nearest choice for any k. */
export function topKChoice(choices: readonly number[], k: number): number {
  if (k === 0) return choices.length - 1;
  let best = 0;
  for (let i = 0; i < choices.length - 1; i++) if (Math.abs(choices[i] - k) < Math.abs(choices[best] - k)) best = i;
  return best;
}
