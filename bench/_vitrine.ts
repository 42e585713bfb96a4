/**
 * Ours, for inference.ts: the model called step by step, and the whole `generate` path that every door uses.
 * Taken from the built package, as a user has it.
 */
import { loadModel, type LocalEngine } from "vitrine";
import { largestIndex, seconds, type TextEngine } from "./_engines.ts";

export type WeightFormat = "f32" | "f16" | "int8" | "int4";
type Common = Pick<TextEngine, "name" | "bytesPerWeight">;

/** int8 and int4: 32 numbers share a scale. */
export const bytesPerWeight: Readonly<Record<WeightFormat, number>> = { f32: 4, f16: 2, int8: 34 / 32, int4: 18 / 32 };

/** "forward": the model called step by step. "generate": the whole path with sampling and the 20 most probable of every step. */
export type VitrinePath = "forward" | "generate";

/** `device` as loadModel takes it; undefined leaves the choice to Vitrine. */
export async function vitrineEngine(
  folder: string,
  threads: number,
  device: string | undefined,
  path: VitrinePath,
  weights: WeightFormat,
): Promise<TextEngine> {
  const engine = await loadModel(folder, { device, threads, weights });
  const common = { name: `vitrine ${engine.model.device.name} ${weights}`, bytesPerWeight: bytesPerWeight[weights] };
  return path === "forward" ? forwardEngine(engine, common) : generateEngine(engine, common);
}

/** `model.forward` with a cache, as `generate` uses it, without sampling. */
function forwardEngine(engine: LocalEngine, common: Common): TextEngine {
  const { model } = engine;
  const last = async (ids: readonly number[], cache: ReturnType<typeof model.cache>): Promise<Float32Array> => {
    const logits = model.forward([ids], { cache });
    const values = await logits.read();
    logits.dispose();
    return values;
  };
  return {
    ...common,
    note: `forward and cache, ${engine.info.device}`,
    logits: async (prompt) => {
      const cache = model.cache();
      const values = await last(prompt, cache);
      cache.dispose();
      return values;
    },
    run: async (prompt, count) => {
      const started = seconds();
      const cache = model.cache();
      let id = largestIndex(await last(prompt, cache));
      const first = seconds();
      for (let n = 0; n < count; n++) id = largestIndex(await last([id], cache));
      const end = seconds();
      cache.dispose();
      return { prompt: first - started, tokens: end - first };
    },
    dispose: () => engine.dispose(),
  };
}

/** `engine.generate` with a drawn token and the 20 most probable ones with their log-probabilities at every step. */
function generateEngine(engine: LocalEngine, common: Common): TextEngine {
  return {
    ...common,
    name: `${common.name}, generate + top 20`,
    note: `the whole generate path, temperature 1, seed 1, 20 candidates read at every step, ${engine.info.device}`,
    run: async (prompt, count) => {
      const started = seconds();
      let first = started;
      let sum = 0;
      let steps = 0;
      for await (const step of engine.generate(prompt, { maxTokens: count + 1, stopIds: [], seed: 1 })) {
        if (steps++ === 0) first = seconds();
        for (const { probability } of step.distribution.top(20)) sum += Math.log(probability);
      }
      if (steps !== count + 1 || !Number.isFinite(sum)) throw new Error(`bench: generate gave ${steps} steps, ${count + 1} were asked for`);
      return { prompt: first - started, tokens: seconds() - first };
    },
    dispose: () => engine.dispose(),
  };
}
