import { expect, test } from "vitest";
import { percent, visible } from "./format.ts";

test.each([
  [0, "0 %"],
  [1, "100.0 %"],
  [0.9999, ">99.9 %"],
  [0.6136, "61.4 %"],
  [0.0123, "1.23 %"],
  [0.00042, "0.042 %"],
  [2.4e-6, "0.0002 %"],
  [1e-7, "0.00001 %"],
  [2.3e-12, "2·10⁻¹⁰ %"],
  [1e-14, "10⁻¹² %"],
])("%d is told as %s", (p, text) => {
  expect(percent(p)).toBe(text);
});

test.each([
  ["", "∅"],
  [" the\n", "␣the⏎"],
  [" שלום", "\u2068␣שלום\u2069"],
  ["م", "\u2068م\u2069"],
])("%j is shown as %s", (text, shown) => {
  expect(visible(text)).toBe(shown);
});
