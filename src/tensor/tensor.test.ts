import { describe, expect, test } from "vitest";
import { ShapeError } from "../base/errors.ts";
import type { Matrix } from "../device/device.ts";
import { openReference } from "../device/reference/reference.ts";
import { add } from "./ops/add.ts";
import { gate } from "./ops/activate.ts";
import { attention } from "./ops/attention.ts";
import { crossEntropy } from "./ops/cross-entropy.ts";
import { linear } from "./ops/linear.ts";
import { matmul } from "./ops/matmul.ts";
import { layerNorm } from "./ops/norm.ts";
import { beside, columns, embed, gatherRows } from "./ops/select.ts";
import { softmax, top } from "./ops/softmax.ts";
import { tensorScope } from "./scope.ts";
import { empty, permanent, tensor } from "./tensor.ts";
import type { Tensor } from "./tensor.ts";

const device = openReference();
const floats = (...values: number[]): Float32Array => Float32Array.from(values);
const live = (): number => device.memory().buffers;

describe("scopes", () => {
  test("free what was made in them, except what is kept", async () => {
    const before = live();
    const kept = ((): Tensor => {
      using scope = tensorScope();
      const a = tensor(device, floats(1, 2));
      const b = tensor(device, floats(3, 4));
      const sum = add(a, b);
      expect(live()).toBe(before + 3);
      return scope.keep(sum);
    })();
    expect(live()).toBe(before + 1);
    expect(await kept.read()).toEqual(floats(4, 6));
    kept.dispose();
    kept.dispose();
    expect(live()).toBe(before);
  });

  test("hand a kept tensor to the next scope out", () => {
    const before = live();
    {
      using _outer = tensorScope();
      {
        using inner = tensorScope();
        inner.keep(empty(device, [3]));
      }
      expect(live()).toBe(before + 1);
    }
    expect(live()).toBe(before);
  });

  test("free everything when the work throws", () => {
    const before = live();
    expect(() => {
      using _scope = tensorScope();
      add(tensor(device, floats(1)), tensor(device, floats(1, 2)));
    }).toThrow(ShapeError);
    expect(live()).toBe(before);
  });

  test("release frees early what is theirs, and leaves foreign and permanent tensors alone", () => {
    const before = live();
    const weight = permanent(device, [2]);
    {
      using scope = tensorScope();
      const mine = empty(device, [2]);
      scope.release(mine);
      expect(live()).toBe(before + 1);
      scope.release(weight);
      scope.release(mine);
    }
    expect(live()).toBe(before + 1);
    weight.dispose();
  });

  test("notice when one was held open across other work", () => {
    const outer = tensorScope();
    const inner = tensorScope();
    expect(() => outer[Symbol.dispose]()).toThrow("internal: tensor scopes ended out of order");
    inner[Symbol.dispose]();
  });
});

describe("tensors", () => {
  test("views share numbers and free nothing", async () => {
    const before = live();
    const x = tensor(device, floats(1, 2, 3, 4, 5, 6), [2, 3]);
    const view = x.view([3, 2]);
    expect(await view.read()).toEqual(await x.read());
    view.dispose();
    expect(await x.read()).toEqual(floats(1, 2, 3, 4, 5, 6));
    expect(() => x.view([4])).toThrow("view: (2, 3) has 6 elements, (4) has 4");
    x.dispose();
    expect(live()).toBe(before);
    await expect(x.read()).rejects.toThrow("internal:");
  });

  test("live until their last handle is disposed, whichever that is", async () => {
    const before = live();
    const x = tensor(device, floats(1, 2, 3, 4));
    const second = x.view([2, 2]).retain(); // a view holds nothing, a handle on it does
    expect([x.shared, second.shared, second.shape]).toEqual([true, true, [2, 2]]);
    x.dispose();
    x.dispose(); // one handle counts once
    expect(await second.read()).toEqual(floats(1, 2, 3, 4));
    expect(second.shared).toBe(false);
    const third = x.retain(); // the numbers are alive, so an old handle may still be asked
    second.dispose();
    expect(live()).toBe(before + 1);
    third.dispose();
    expect(live()).toBe(before);
    expect(() => x.retain()).toThrow("internal: a freed tensor was retained");
    {
      using scope = tensorScope();
      const kept = scope.keep(tensor(device, floats(1)).retain()); // belongs to no scope
      scope[Symbol.dispose]();
      expect(await kept.read()).toEqual(floats(1));
      kept.dispose();
    }
    expect(live()).toBe(before);
  });

  test("read integers as integers, or as floats", async () => {
    const ids = tensor(device, Int32Array.of(3, -1));
    expect(ids.dtype).toBe("i32");
    expect(await ids.readIntegers()).toEqual(Int32Array.of(3, -1));
    expect(await ids.read()).toEqual(floats(3, -1));
    await expect(tensor(device, floats(1)).readIntegers()).rejects.toThrow(ShapeError);
    expect(() => tensor(device, floats(1, 2), [3])).toThrow("tensor: 2 numbers for the shape (3)");
  });
});

function matrix(values: Float32Array, outputs: number, inputs: number): Matrix {
  const made = device.matrix(outputs, inputs);
  device.writeMatrix(made, values, { output: 0, outputs, input: 0, inputs, order: "outputs-first" });
  return made;
}

describe("ops", () => {
  test("keep leading axes and change the last", async () => {
    using _scope = tensorScope();
    const x = tensor(device, floats(1, 2, 3, 4, 5, 6, 7, 8), [2, 2, 2]);
    const y = linear(x, matrix(floats(1, 0, 0, 1, 1, 1), 3, 2), tensor(device, floats(0, 0, 10)));
    expect(y.shape).toEqual([2, 2, 3]);
    expect(await y.read()).toEqual(floats(1, 2, 13, 3, 4, 17, 5, 6, 21, 7, 8, 25));
    const heads = columns(y, 1, 2, [2, 2, 1, 2]);
    expect(heads.shape).toEqual([2, 2, 1, 2]);
    expect(await heads.read()).toEqual(floats(2, 13, 4, 17, 6, 21, 8, 25));
    expect(gate(x, "relu").shape).toEqual([2, 2, 1]);
    expect(await gate(x, "relu").read()).toEqual(floats(2, 12, 30, 56));
    expect(await beside(x, x).read()).toEqual(floats(1, 2, 1, 2, 3, 4, 3, 4, 5, 6, 5, 6, 7, 8, 7, 8));
    expect(await gatherRows(x, tensor(device, Int32Array.of(3, 0))).read()).toEqual(floats(7, 8, 1, 2));
    expect(embed(matrix(floats(1, 2, 3, 4), 2, 2), tensor(device, Int32Array.of(1, 0, 1), [3, 1])).shape).toEqual([3, 1, 2]);
    expect(softmax(x).shape).toEqual([2, 2, 2]);
    expect(crossEntropy(x, tensor(device, Int32Array.of(0, 1, 0, 1), [2, 2])).shape).toEqual([2, 2]);
    const best = top(x, 1);
    expect([best.ids.shape, best.values.shape, best.logSumExp.shape]).toEqual([
      [2, 2, 1],
      [2, 2, 1],
      [2, 2],
    ]);
    expect(await best.ids.readIntegers()).toEqual(Int32Array.of(1, 1, 1, 1));
    const product = matmul(tensor(device, floats(1, 2, 3, 4), [2, 2]), tensor(device, floats(1, 0, 5, 1), [2, 2]), { b: true });
    expect(await product.read()).toEqual(floats(1, 7, 3, 19));
  });

  test("say what does not fit, and the cure", () => {
    using _scope = tensorScope();
    const x = tensor(device, new Float32Array(6), [2, 3]);
    const past = tensor(device, new Int32Array(1)).buffer;
    const sizes = { B: 1, T: 1, H: 1, KV: 1, D: 2, capacity: 1, past, window: 0, scale: 1 };
    const errors: [() => unknown, string][] = [
      [() => linear(x, matrix(new Float32Array(8), 4, 2)), "linear: inner sizes differ, (2, 3) x weights (4, 2); the last axis must be 2"],
      [() => linear(x, matrix(new Float32Array(6), 2, 3), x), "linear: the bias is (2, 3) (6 numbers), expected (2)"],
      [() => linear(x, matrix(new Float32Array(6), 2, 3), null, null, x), "linear: the residual is (2, 3) (6 numbers), expected (2, 2)"],
      [() => layerNorm(x, tensor(device, floats(1, 2)), null, 0), "layerNorm: the weight is (2)"],
      [() => add(x, tensor(device, floats(1, 2))), "add: the second argument is (2)"],
      [() => gate(x, "silu"), "gate: (2, 3) cannot be halved"],
      [() => columns(x, 2, 2, [2, 2]), "columns: 2 to 4 of (2, 3)"],
      [() => matmul(x, x), "matmul: inner sizes differ, (2, 3) x (2, 3); transpose one of them?"],
      [() => crossEntropy(x, tensor(device, Int32Array.of(1))), "crossEntropy: targets is (1)"],
      [() => top(x, 4), "top: 4 of rows of 3"],
      [() => attention(x, past, past, sizes), "attention: the query is (2, 3), expected (B, T, H, D) = (1, 1, 1, 2)"],
    ];
    for (const [work, message] of errors) {
      expect(work).toThrow(ShapeError);
      expect(work).toThrow(message);
    }
  });
});
