/**
 * Random weights for any config, as a checkpoint that is made up while it is read: for benchmarks, tests and new models.
 * Numbers depend on seed, tensor name and position only, so every device and every block size sees the same ones.
 */
import { FormatError } from "../base/errors.ts";
import { randomFrom, xoshiro128 } from "../base/random.ts";
import { elements } from "../base/shape.ts";
import type { Device } from "../device/device.ts";
import type { TensorInfo, TensorSource } from "../formats/tensor-source.ts";
import type { ModelConfig } from "./config.ts";
import { parametersOf } from "./families.ts";
import { loadWeights } from "./load.ts";
import type { LanguageModel } from "./model.ts";
import type { Parameter } from "./parameters.ts";

/** Every run of so many numbers of a tensor has its own generator, so reading may start anywhere. */
const RUN = 65536;

/** A model with random weights: N(0, deviation), norms around 1. GPT-2's deviation is 0.02 (Radford et al. 2018). */
export async function randomModel(config: ModelConfig, device: Device, seed: number, deviation = 0.02): Promise<LanguageModel> {
  return loadWeights(config, randomWeights(config, seed, deviation), device);
}

/** The checkpoint behind `randomModel`. */
export function randomWeights(config: ModelConfig, seed: number, deviation = 0.02): TensorSource {
  return madeUp(config, seed, `random weights of seed ${seed}`, () => deviation);
}

/**
 * A new model, as GPT-2 begins (Radford et al. 2019, 2.3): matrices N(0, 0.02), those that write into the residual stream divided by
 * sqrt(2 layers), so that the stream does not grow with depth; biases 0, norms 1. Both families.
 */
export async function initialModel(config: ModelConfig, device: Device, seed: number): Promise<LanguageModel> {
  return loadWeights(config, initialWeights(config, seed), device);
}

/** The checkpoint behind `initialModel`. */
export function initialWeights(config: ModelConfig, seed: number): TensorSource {
  return madeUp(config, seed, `initial weights of seed ${seed}`, ({ shares }) => {
    const category = shares[0][0];
    if (category === "Biases" || category === "Norms") return 0;
    return category === "Output" || category === "Down-projection" ? 0.02 / Math.sqrt(2 * config.layers) : 0.02;
  });
}

function madeUp(config: ModelConfig, seed: number, source: string, deviationOf: (parameter: Parameter) => number): TensorSource {
  const tensors = new Map<string, TensorInfo>();
  const normal = new Map<string, { readonly mean: number; readonly deviation: number }>();
  for (const parameter of parametersOf(config)) {
    const { name, shape, shares } = parameter;
    tensors.set(name, { name, dtype: "F32", shape, byteLength: 4 * elements(shape) });
    normal.set(name, { mean: shares[0][0] === "Norms" && name.endsWith("weight") ? 1 : 0, deviation: deviationOf(parameter) });
  }
  return {
    name: source,
    tensors,
    metadata: {},
    async read(name, start = 0, end) {
      const info = tensors.get(name);
      const as = normal.get(name);
      if (!info || !as) throw new FormatError(`random weights: there is no tensor ${name}`);
      const values = new Float32Array((end ?? elements(info.shape)) - start);
      fillNormal(values, start, hash(name, seed), as.mean, as.deviation);
      return values;
    },
    close: async () => {},
  };
}

/** Fills `values`, which begins at element `start` of its tensor, with N(mean, deviation). */
function fillNormal(values: Float32Array, start: number, seed: number, mean: number, deviation: number): void {
  const table = (normalTable ??= makeNormalTable());
  for (let run = Math.floor(start / RUN); run * RUN < start + values.length; run++) {
    const generator = xoshiro128([seed, run, 0x9e3779b9, 1]);
    for (let i = 0; i < 8; i++) generator.word(); // let the seed spread
    const from = run * RUN - start;
    for (let i = from; i < Math.min(from + RUN, values.length); i += 2) {
      const bits = generator.word(); // two numbers of 16 bits each
      if (i >= 0) values[i] = mean + deviation * table[bits >>> 16];
      if (i + 1 >= 0 && i + 1 < values.length) values[i + 1] = mean + deviation * table[bits & 0xffff];
    }
  }
}

let normalTable: Float32Array | undefined;

/** 65,536 draws of N(0, 1) by Box and Muller (1958); picking among them is quick and as good as normal for weights. */
function makeNormalTable(): Float32Array {
  const random = randomFrom(0);
  const table = new Float32Array(65536);
  for (let i = 0; i < table.length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
    const angle = 2 * Math.PI * random.next();
    table[i] = radius * Math.cos(angle);
    table[i + 1] = radius * Math.sin(angle);
  }
  return table;
}

/** FNV-1a of a name, mixed with the seed. */
function hash(name: string, seed: number): number {
  let h = 0x811c9dc5 ^ seed;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
