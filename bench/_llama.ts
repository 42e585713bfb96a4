/**
 * llama.cpp through node-llama-cpp, on a GGUF of the same weights that Vitrine's own writer makes:
 * a native peer for fp32 and for small weights, and somebody else's proof that the export is right.
 */
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { exportGguf } from "../src/engine/export.ts";
import type { GgufType } from "../src/formats/gguf-type.ts";
import { nodeFolder, nodeFolderWriter } from "../src/host/node-files.ts";
import { readShape } from "./_checkpoint.ts";
import { seconds, type TextEngine } from "./_engines.ts";
import { peer, peerVersion } from "./_peers.ts";

/** Exports the checkpoint in `folder` as GGUF, once. Returns the file. */
async function exportOnce(folder: string, type: GgufType): Promise<string> {
  const out = join(folder, "gguf"); // not beside the weights: a folder with two models in it would be a puzzle
  const file = `${type}.gguf`;
  mkdirSync(out, { recursive: true });
  const isFresh = existsSync(join(out, file)) && statSync(join(out, file)).mtimeMs > statSync(join(folder, "model.safetensors")).mtimeMs;
  if (!isFresh) await exportGguf(nodeFolder(folder), nodeFolderWriter(out), file, { type });
  return join(out, file);
}

/** Blocks of 32 numbers carry one fp16 scale. */
const bytesPerWeight: Readonly<Record<GgufType, number>> = { F32: 4, F16: 2, BF16: 2, Q8_0: 34 / 32, Q4_0: 18 / 32 };

interface NodeLlama {
  getLlama(options: object): Promise<{ loadModel(options: object): Promise<LlamaModel> }>;
}
interface LlamaModel {
  createContext(options: object): Promise<{ getSequence(): LlamaSequence }>;
  dispose(): Promise<void>;
}
interface LlamaSequence {
  clearHistory(): Promise<void>;
  evaluate(tokens: readonly number[], options: object): AsyncGenerator<number, void>;
  evaluateWithMetadata(tokens: readonly number[], metadata: object, options: object): AsyncGenerator<{ probabilities: Map<number, number> }, void>;
}

/** llama.cpp on the checkpoint in `folder` with weights of `type`; undefined when node-llama-cpp is not installed. */
export async function llamaEngine(folder: string, threads: number, type: GgufType): Promise<TextEngine | undefined> {
  const package_ = await peer<NodeLlama>("node-llama-cpp");
  if (!package_) return undefined;
  const llama = await package_.getLlama({ gpu: false, build: "never", logLevel: "error", maxThreads: threads, progressLogs: false });
  const model = await llama.loadModel({ modelPath: await exportOnce(folder, type) });
  const { contextLength, vocabularySize } = readShape(folder);
  const context = await model.createContext({ contextSize: contextLength, batchSize: contextLength, threads: { ideal: threads, min: threads } });
  const sequence = context.getSequence();
  return {
    name: `llama.cpp ${type}, ${threads} ${threads === 1 ? "thread" : "threads"}`,
    note: `${peerVersion("node-llama-cpp")}, KV cache fp16 as it comes`,
    bytesPerWeight: bytesPerWeight[type],
    // It hands out probabilities only; their logarithms are the logits up to a constant, and the comparison does not see that.
    logits: async (prompt) => {
      await sequence.clearHistory();
      const values = new Float32Array(vocabularySize).fill(-Infinity);
      for await (const { probabilities } of sequence.evaluateWithMetadata(
        [...prompt],
        { probabilities: true },
        { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 1 },
      )) {
        for (const [id, probability] of probabilities) values[id] = Math.log(probability);
        break;
      }
      return values;
    },
    run: async (prompt, count) => {
      await sequence.clearHistory();
      const started = seconds();
      let first = started;
      let steps = 0;
      for await (const _ of sequence.evaluate([...prompt], { temperature: 0, yieldEogToken: true })) {
        if (steps === 0) first = seconds();
        if (steps++ === count) break;
      }
      return { prompt: first - started, tokens: seconds() - first };
    },
    dispose: () => model.dispose(),
  };
}
