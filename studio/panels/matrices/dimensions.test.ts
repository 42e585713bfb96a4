import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { presetConfig, presetNames, tally } from "../../../src/exports.ts";
import { files } from "../../../src/inspection/models.testing.ts";
import { readConfig } from "../../../src/model/config-file.ts";
import {
  bend,
  changed,
  dimensionsOf,
  factors,
  fits,
  fromSlider,
  knobsOf,
  limits,
  matrixFactors,
  nearestThatFit,
  reach,
  tex,
  toSlider,
} from "./dimensions.ts";

const head = fc.integer({ min: 1, max: 96 });

describe("dimensions", () => {
  test("the lecture's numbers", () => {
    const { rows, weights, matrices } = tally(presetConfig("gpt3"), "video");
    expect(weights).toBe(175_181_291_520);
    expect(matrices).toBe(27_938);
    expect(rows).toHaveLength(8);
    expect(tally(presetConfig("gpt2"), "exact").weights).toBe(124_439_808);
  });

  test("bending a preset gives what the command counts", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...presetNames),
        head,
        head,
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 9999 }),
        fc.integer({ min: 1, max: 9999 }),
        (name, heads, size, layers, vocabularySize, mlpWidth) => {
          const dimensions = { width: heads * size, heads, mlpWidth, layers, vocabularySize, contextLength: 77 };
          const bent = bend(presetConfig(name), dimensions);
          const fresh = presetConfig(name, dimensions);
          for (const rule of ["video", "exact"] as const) expect(tally(bent, rule, name)).toEqual(tally(fresh, rule, name));
        },
      ),
    );
  });

  test.each(files)("%s bent to its own dimensions is itself", (_, file) => {
    const config = readConfig(file);
    expect(bend(config, dimensionsOf(config))).toEqual(config);
  });

  test("neurons go with the width until they were set apart", () => {
    const base = presetConfig("gpt2");
    const wide = changed(base, dimensionsOf(base), "width", 1536);
    expect(wide.mlpWidth).toBe(6144);
    const apart = changed(base, wide, "mlpWidth", 5000);
    expect(changed(base, apart, "width", 768)).toEqual({ ...dimensionsOf(base), mlpWidth: 5000 });
  });

  test("nearest that fit: they do, and nothing nearer does", () => {
    const base = presetConfig("gpt2");
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 200 }), (width, heads) => {
        const { heads: others, widths } = nearestThatFit(base, { width, heads });
        for (const n of others) expect(fits(base, { width, heads: n })).toBe(true);
        for (const n of widths) expect(fits(base, { width: n, heads })).toBe(true);
        const [nearest] = widths;
        for (let n = Math.max(1, width - Math.abs(width - nearest) + 1); n < width + Math.abs(width - nearest); n++)
          if (n !== width) expect(fits(base, { width: n, heads })).toBe(false);
      }),
    );
    expect(nearestThatFit(base, { width: 768, heads: 11 })).toEqual({ heads: [12, 8], widths: [770, 759] });
    const shared = readConfig(files[2][1]); // three heads share a key
    expect(fits(shared, { width: 36, heads: 4 })).toBe(false);
    expect(nearestThatFit(shared, { width: 36, heads: 4 }).heads).toEqual([3, 6]);
  });

  test("sliders reach their ends and keep to steps", () => {
    for (const range of Object.values(reach)) {
      expect(fromSlider(0, range)).toBe(range[0]);
      expect(fromSlider(1, range)).toBe(range[1]);
      expect(fromSlider(toSlider(1000, reach.width), reach.width)).toBe(1000);
    }
    expect(fromSlider(0.5, reach.width, 12) % 12).toBe(0);
    expect(limits.heads[1]).toBeGreaterThan(reach.heads[1]);
  });
});

describe("formulas", () => {
  test.each([...presetNames])("all of %s come apart, and multiply to the weights", (name) => {
    for (const rule of ["video", "exact"] as const)
      for (const { formula, numbers, weights } of tally(presetConfig(name), rule).rows) {
        const sum = factors(formula, numbers);
        if (sum.length === 0) expect(weights).toBe(0);
        else
          expect(sum.reduce((total, product) => total + product.reduce((part, { value }) => part * Number(value.replaceAll(",", "")), 1), 0)).toBe(
            weights,
          );
        for (const { symbol } of sum.flat()) if (symbol !== "2") expect(knobsOf(symbol).length, symbol).toBeGreaterThan(0);
      }
  });

  const shared = readConfig(files[2][1]); // heads share keys
  test.each([...presetNames.map((name) => presetConfig(name)), shared])("of $family tell how many matrices there are", (config) => {
    for (const rule of ["video", "exact"] as const)
      for (const { category, formula, numbers, matrices } of tally(config, rule).rows) {
        if (matrices === 0) continue;
        const product = matrixFactors(category, factors(formula, numbers)).reduce((all, { value }) => all * Number(value.replaceAll(",", "")), 1);
        expect(product, category).toBe(matrices);
      }
  });

  test("as KaTeX", () => {
    expect(tex(factors("2 * d_embed * n_kv_heads + d_query", "2 * 8 * 4 + 2"))).toBe(
      "2 \\cdot d_\\text{embed} \\cdot n_\\text{kv heads} + d_\\text{query}",
    );
  });
});
