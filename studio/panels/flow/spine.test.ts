import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Spine } from "../../engine/protocol.ts";
import { columnsOf, cosine, length, loudestIn, stripOf, thickness } from "./spine.ts";

const vector = (n: number): fc.Arbitrary<Float32Array> => fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: n, maxLength: n }).map((x) => Float32Array.from(x)); // prettier-ignore

/** A pass of two layers at two positions, width 3, made so that the stream is the sum of what joined it. */
function madeUp(positions: boolean): Spine {
  const [P, C, V, layers] = [2, 3, 4, 2];
  const some = (from: number): Float32Array => Float32Array.from({ length: P * C }, (_, i) => Math.sin(from + i * 1.7));
  const rows: Record<string, Float32Array> = { hook_embed: some(1) };
  let stream = rows["hook_embed"];
  const add = (x: Float32Array): Float32Array => (stream = stream.map((a, i) => a + x[i]));
  if (positions) add((rows["hook_pos_embed"] = some(2)));
  for (let layer = 0; layer < layers; layer++) {
    const at = `blocks.${layer}.`;
    rows[`${at}ln1.hook_normalized`] = stream.map((x) => x * 2);
    rows[`${at}hook_resid_mid`] = add((rows[`${at}hook_attn_out`] = some(10 + layer)));
    rows[`${at}ln2.hook_normalized`] = stream.map((x) => x * 3);
    rows[`${at}hook_resid_post`] = add((rows[`${at}hook_mlp_out`] = some(20 + layer)));
  }
  rows["ln_final.hook_normalized"] = stream.map((x) => x / 2);
  return { positions: [1, 4], width: C, layers, rows, logits: Float32Array.from({ length: P * V }, (_, i) => i) };
}

describe("columns", () => {
  test.each([true, false])("every stream is the one before plus what joined it (positions: %s)", (positions) => {
    const spine = madeUp(positions);
    const columns = columnsOf(spine);
    expect(columns.map(({ position }) => position)).toEqual([1, 4]);
    for (const [p, column] of columns.entries()) {
      expect(column.joined.map(({ kind }) => kind)).toEqual([...(positions ? ["positions"] : []), ...["attention", "mlp", "attention", "mlp"]]);
      let before = column.embedding;
      for (const joining of column.joined) {
        expect([...joining.before]).toEqual([...before]);
        for (let c = 0; c < 3; c++) expect(joining.after[c]).toBeCloseTo(joining.before[c] + joining.added[c], 6);
        // the law of cosines ties the three lengths together
        const { beforeLength: b, addedLength: a, afterLength: x } = joining;
        expect(x * x).toBeCloseTo(b * b + a * a + 2 * a * b * joining.cosine, 4);
        before = joining.after;
      }
      expect(column.longest).toBeGreaterThanOrEqual(length(before));
      expect([...column.logits]).toEqual([0, 1, 2, 3].map((v) => p * 4 + v));
    }
  });
});

describe("vectors", () => {
  test("cosine is within -1 and 1, 1 for itself, -1 for its opposite, nothing for nothing", () => {
    fc.assert(
      fc.property(vector(5), vector(5), (x, y) => {
        const c = cosine(x, y);
        expect(Number.isNaN(c) || (c >= -1 && c <= 1)).toBe(true);
        if (length(x) > 1e-3) {
          expect(cosine(x, x)).toBeCloseTo(1, 5);
          expect(cosine(x, x.map((a) => -a))).toBeCloseTo(-1, 5); // prettier-ignore
        }
      }),
    );
    expect(cosine(new Float32Array(3), Float32Array.of(1, 2, 3))).toBeNaN();
  });

  test("a strip keeps every sign and the largest size, however narrow", () => {
    fc.assert(
      fc.property(vector(17), fc.integer({ min: 1, max: 40 }), (x, columns) => {
        const { up, down, largest } = stripOf(x, columns);
        expect(up.length).toBe(Math.min(columns, 17));
        expect(Math.max(...up)).toBe(Math.max(0, ...x));
        expect(Math.max(...down)).toBe(Math.max(0, ...x.map((a) => -a)));
        expect(largest).toBe(Math.max(...up, ...down));
        for (let place = 0; place < up.length; place++) {
          const loudest = loudestIn(x, columns, place);
          expect(Math.abs(x[loudest])).toBe(Math.max(up[place], down[place]));
        }
      }),
    );
  });

  test("thickness grows with length up to the thickest", () => {
    expect(thickness(10, 10)).toBe(16);
    expect(thickness(5, 10)).toBe(8);
    expect(thickness(0, 10)).toBe(1.5);
    expect(thickness(0, 0)).toBe(1.5);
  });
});
