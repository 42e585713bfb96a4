/** The tape itself: what it keeps, what it gives back, and that shared gradients stay whole. Ops' derivatives are ops/gradients.test.ts's. */
import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { randomFrom } from "../base/random.ts";
import { openReference } from "../device/reference/reference.ts";
import type { Weights } from "../device/training-kernels.ts";
import { gradientsOf, places, randomMatrix, randomTensor, readWeights } from "./gradient-check.testing.ts";
import { activate, gate } from "./ops/activate.ts";
import { add, addColumns } from "./ops/add.ts";
import { crossEntropy } from "./ops/cross-entropy.ts";
import { linear } from "./ops/linear.ts";
import { rmsNorm } from "./ops/norm.ts";
import { scale } from "./ops/scale.ts";
import { columns } from "./ops/select.ts";
import { recompute } from "./recompute.ts";
import { tensorScope } from "./scope.ts";
import { recording, Tape, tapeFor } from "./tape.ts";
import { permanent, tensor } from "./tensor.ts";
import type { Tensor } from "./tensor.ts";

const device = openReference();
afterAll(() => expect(device.memory()).toMatchObject({ buffers: 0, matrices: 0 }));
const live = (): number => device.memory().buffers;
const floats = (...values: number[]): Float32Array => Float32Array.from(values);

function kept(...values: number[]): Tensor {
  const made = permanent(device, [values.length]);
  device.write(made.buffer, floats(...values));
  return made;
}

/** One gradient, of one learned vector; each output counts once. */
async function gradientOf(x: Tensor, forward: () => Tensor, outputs = x.buffer.length): Promise<Float32Array | undefined> {
  return (await gradientsOf(device, [x.buffer], forward, new Float32Array(outputs).fill(1))).get(x.buffer);
}

describe("shared gradients", () => {
  test("stay whole when one of their owners gets more", async () => {
    const [x, w] = [kept(1), kept(1)];
    const found = await gradientsOf(
      device,
      [x.buffer, w.buffer],
      () => {
        const [a, b] = [scale(x, 2), scale(w, 3)];
        const s = add(a, b);
        return add(s, a); // s and a get one gradient; then s hands it on to a, which has it already, and to b
      },
      floats(1),
    );
    expect(found.get(x.buffer)).toEqual(floats(4));
    expect(found.get(w.buffer)).toEqual(floats(3));
    for (const made of [x, w]) made.dispose();
  });

  test("stay whole when an op would work in place", async () => {
    const [x, w] = [kept(1), kept(1)];
    const found = await gradientsOf(
      device,
      [x.buffer, w.buffer],
      () => add(scale(scale(x, 1), 5), scale(w, 1)), // scale's way back may overwrite its gradient, but this one is also w's
      floats(1),
    );
    expect([found.get(x.buffer), found.get(w.buffer)]).toEqual([floats(5), floats(1)]);
    for (const made of [x, w]) made.dispose();
  });

  test("a graph of sums, cuts and multiples gives every path's product, however it is wired", async () => {
    // Each node is made of two earlier ones; all numbers are small integers, so gradients are exact.
    const node = fc.record({
      kind: fc.constantFrom("add", "scale", "columns", "addColumns", "view"),
      a: fc.nat(),
      b: fc.nat(),
      factor: fc.integer({ min: -2, max: 2 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(node, { minLength: 1, maxLength: 9 }), fc.boolean(), async (nodes, again) => {
        const x = kept(1, 2, 3, 4);
        const coefficients: number[][][] = [identity()]; // per node: (outputs, inputs) of a linear map
        const forward = (): Tensor => {
          const made: Tensor[] = [x];
          coefficients.length = 1;
          for (const { kind, a, b, factor } of nodes) {
            const [i, j] = [a % made.length, b % made.length];
            const [A, B] = [coefficients[i], coefficients[j]];
            if (kind === "add") {
              made.push(add(made[i], made[j]));
              coefficients.push(A.map((row, r) => row.map((v, c) => v + B[r][c])));
            } else if (kind === "scale") {
              made.push(scale(made[i], factor));
              coefficients.push(A.map((row) => row.map((v) => v * factor)));
            } else if (kind === "view") {
              made.push(scale(made[i].view([2, 2]), 1).view([4]));
              coefficients.push(A);
            } else {
              const cut = columns(made[j].view([1, 4]), 1, 2, [1, 2]);
              made.push(addColumns(made[i].view([1, 4]), 2, cut).view([4]));
              coefficients.push(A.map((row, r) => row.map((v, c) => v + (r >= 2 ? B[r - 1][c] : 0))));
            }
          }
          return made.at(-1)!;
        };
        const found = await gradientsOf(device, [x.buffer], () => (again ? recompute(x, forward) : forward()), floats(1, 10, 100, 1000));
        const counts = [1, 10, 100, 1000];
        const expected = identity()[0].map((_, c) => coefficients.at(-1)!.reduce((sum, row, r) => sum + counts[r] * row[c], 0));
        expect(Array.from(found.get(x.buffer)!, (v) => v + 0)).toEqual(expected.map((v) => v + 0));
        x.dispose();
      }),
      { numRuns: 60 },
    );
  });
});

function identity(): number[][] {
  return [0, 1, 2, 3].map((r) => [0, 1, 2, 3].map((c) => (r === c ? 1 : 0)));
}

describe("memory", () => {
  test("what the way back needs outlives its scope, and nothing outlives the way back", async () => {
    const before = live();
    const W = randomMatrix(device, randomFrom(1), 3, 3);
    const x = kept(1, 2, 3);
    const learned = places(device, [W]);
    const tape = new Tape(learned);
    const loss = tape.record(() => {
      using scope = tensorScope();
      const y = linear(activate(linear(x, W), "gelu"), W); // two inputs of W are kept, and what came before the activation
      return scope.keep(crossEntropy(y.view([1, 3]), tensor(device, Int32Array.of(1))));
    });
    expect(live()).toBeGreaterThan(before + 2 + 3);
    const seed = tensor(device, floats(1));
    tape.backward(loss, seed);
    expect(live()).toBe(before + 3); // x, loss and seed
    expect((await readWeights(device, learned.get(W)!)).some((v) => v !== 0)).toBe(true);
    expect(await loss.read()).toHaveLength(1); // the caller's own
    for (const made of [x, loss, seed]) made.dispose();
    for (const made of [W, ...learned.values()]) made.free();
    expect(live()).toBe(before);
  });

  test("a tape that is given up gives everything back", () => {
    const before = live();
    const x = kept(1, 2);
    const tape = new Tape(new Map<Weights, Weights>([[x.buffer, x.buffer]]));
    tape.record(() => {
      using _scope = tensorScope();
      activate(scale(x, 2), "silu");
    });
    tape.hold(kept(1));
    expect(live()).toBe(before + 3);
    tape.dispose();
    x.dispose();
    expect(live()).toBe(before);
  });

  test("and so does one whose way back fails", () => {
    const before = live();
    const x = kept(1, 2);
    const learned = places(device, [x.buffer]);
    const tape = new Tape(learned);
    const y = tape.record(() => {
      using scope = tensorScope();
      const middle = scale(activate(x, "silu"), 2);
      const broken = tensor(device, floats(0, 0));
      tapeFor(middle)?.note(broken, [middle], () => {
        throw new Error("no memory");
      });
      return scope.keep(add(activate(broken, "relu"), middle));
    });
    const seed = tensor(device, floats(1, 1));
    expect(() => tape.backward(y, seed)).toThrow("no memory");
    for (const made of [x, y, seed]) made.dispose();
    for (const place of learned.values()) place.free();
    expect(live()).toBe(before);
  });

  test("constants leave no trace", () => {
    const x = kept(1, 2);
    const w = kept(1, 2);
    const learned = places(device, [w.buffer]);
    const tape = new Tape(learned);
    const before = live();
    const y = tape.record(() => {
      using scope = tensorScope();
      return scope.keep(activate(scale(x, 2), "silu"));
    });
    expect(live()).toBe(before + 1);
    const seed = tensor(device, floats(1, 1));
    expect(() => tape.backward(y, seed)).toThrow("backward: the loss depends on nothing that is learned");
    for (const made of [x, w, y, seed]) made.dispose();
    for (const place of learned.values()) place.free();
  });

  test("the gradient of logits takes the logits' memory, unless somebody still holds them", async () => {
    const logits = randomTensor(device, randomFrom(3), [2, 3]);
    const numbers = await logits.read();
    for (const holds of [false, true]) {
      const learned = places(device, [logits.buffer]);
      const tape = new Tape(learned);
      let held: Tensor | undefined;
      const losses = tape.record(() => {
        using scope = tensorScope();
        const copy = scale(logits, 1);
        if (holds) held = copy.retain();
        return scope.keep(crossEntropy(copy, tensor(device, Int32Array.of(0, -1))));
      });
      const seed = tensor(device, floats(1, 1));
      tape.backward(losses, seed);
      if (held) expect(await held.read()).toEqual(numbers);
      const gradient = await readWeights(device, learned.get(logits.buffer)!);
      expect(gradient.slice(3)).toEqual(floats(0, 0, 0));
      expect(Math.abs(gradient[0] + gradient[1] + gradient[2])).toBeLessThan(1e-6);
      for (const made of [losses, seed]) made.dispose();
      held?.dispose();
      for (const place of learned.values()) place.free();
    }
    logits.dispose();
  });
});

describe("recording", () => {
  test("gradients accumulate over passes until they are cleared", async () => {
    const x = kept(1, 2);
    const learned = places(device, [x.buffer]);
    const place = learned.get(x.buffer)!;
    const tape = new Tape(learned); // one tape, used again
    const seed = tensor(device, floats(1, 1));
    for (const factor of [2, 3]) {
      const y = tape.record(() => scale(x, factor));
      tape.backward(y, seed);
      y.dispose();
    }
    expect(await readWeights(device, place)).toEqual(floats(5, 5));
    device.kernels.clear(place);
    expect(await readWeights(device, place)).toEqual(floats(0, 0));
    for (const made of [x, seed]) made.dispose();
    place.free();
  });

  test("one tape at a time, none after an error, and none while it pauses", () => {
    const tape = new Tape(new Map());
    expect(recording()).toBeUndefined();
    tape.record(() => {
      expect(recording()).toBe(tape);
      expect(() => tape.record(() => 0)).toThrow("internal: a tape is recording already");
      expect(tape.pause(recording)).toBeUndefined();
      expect(recording()).toBe(tape);
    });
    expect(() =>
      tape.record(() => {
        throw new Error("stop");
      }),
    ).toThrow("stop");
    expect(recording()).toBeUndefined();
  });
});

describe("a stretch computed again", () => {
  test("gives the same numbers to the last bit, and keeps only its input meanwhile", async () => {
    const random = randomFrom(5);
    const [W, V] = [randomMatrix(device, random, 8, 4), randomMatrix(device, random, 4, 4)];
    const weight = randomTensor(device, random, [4]);
    const x = randomTensor(device, random, [3, 4]);
    const block = (y: Tensor): Tensor => linear(gate(linear(rmsNorm(y, weight, 1e-5), W), "silu"), V, null, null, y);
    const learned: Weights[] = [W, V, weight.buffer, x.buffer];
    const count = randomTensor(device, random, [12]);
    const counts = await count.read();

    const found: Float32Array[][] = [];
    const lasting: number[] = [];
    for (const run of [block, (y: Tensor) => recompute(y, block)]) {
      const gradients = await gradientsOf(
        device,
        learned,
        () => {
          const before = live();
          const out = ((): Tensor => {
            using scope = tensorScope();
            return scope.keep(run(run(scale(x, 1))));
          })();
          lasting.push(live() - before);
          return out;
        },
        counts,
      );
      found.push(learned.map((weights) => gradients.get(weights)!));
    }
    expect(found[1]).toEqual(found[0]);
    expect(found[0].every((numbers) => numbers.some((v) => v !== 0))).toBe(true);
    expect(lasting[0]).toBeGreaterThan(6);
    expect(lasting[1]).toBe(3); // the result and both inputs
    for (const made of [weight, x, count]) made.dispose();
    for (const made of [W, V]) made.free();
  });

  test("is plain work without a tape, and leaves no trace when nothing in it is learned", () => {
    const x = kept(1, 2);
    const w = kept(0, 0);
    const y = recompute(x, (z) => scale(z, 2));
    const tape = new Tape(new Map<Weights, Weights>([[w.buffer, w.buffer]]));
    const before = live();
    const same = tape.record(() => recompute(y, (z) => scale(z, 2)));
    expect(tape.wants(same)).toBe(false);
    expect(live()).toBe(before + 1);
    for (const made of [x, w, y, same]) made.dispose();
  });

  test("learns of its own weights when its input is a constant", async () => {
    const [x, w] = [kept(1, 2), kept(3, 4)];
    expect(await gradientOf(w, () => recompute(x, (z) => add(z, scale(w, 2))))).toEqual(floats(2, 2));
    for (const made of [x, w]) made.dispose();
  });

  test("refuses to lose the gradient of anything but its input", async () => {
    const x = kept(1, 2);
    await expect(
      gradientOf(x, () => {
        const other = scale(x, 3);
        return recompute(scale(x, 1), (z) => add(z, other));
      }),
    ).rejects.toThrow("internal: a stretch that is computed again uses something else that is learned from than its input");
    x.dispose();
  });
});
