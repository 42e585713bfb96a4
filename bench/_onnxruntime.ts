/**
 * The two peers that run ONNX graphs: onnxruntime-node, called as a careful user would, and @huggingface/transformers,
 * whose own generate loop is measured. Both get the graph of _onnx.ts, that is, our weights.
 */
import { dirname } from "node:path";
import { readShape } from "./_checkpoint.ts";
import { largestIndex, seconds, type TextEngine, type Timing } from "./_engines.ts";
import type { OnnxOptions } from "./_onnx.ts";
import { writeOnnx } from "./_onnx.ts";
import { peer, peerVersion } from "./_peers.ts";

interface OrtTensor {
  readonly data: Float32Array;
}
interface OrtSession {
  run(feeds: Record<string, OrtTensor>, fetches: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}
interface Ort {
  readonly Tensor: new (type: string, data: BigInt64Array | Float32Array, dims: readonly number[]) => OrtTensor;
  readonly InferenceSession: { create(path: string, options: object): Promise<OrtSession> };
}

/** onnxruntime-node on the checkpoint in `folder`, or undefined when it is not installed. */
export async function onnxruntimeEngine(folder: string, threads: number, options: OnnxOptions = {}): Promise<TextEngine | undefined> {
  const ort = await peer<Ort>("onnxruntime-node");
  if (!ort) return undefined;
  const { layers, heads: H, width, contextLength, vocabularySize: V } = readShape(folder);
  const D = width / H;
  const session = await ort.InferenceSession.create(writeOnnx(folder, options), sessionOptions(threads));
  const names = Array.from({ length: layers }, (_, n) => [`${n}.key`, `${n}.value`]).flat();
  // The graph returns the whole cache anew at every step. Two sets of outputs, used in turn, spare onnxruntime the page faults of fresh ones (a fifth of its speed).
  const sets = [0, 1].map(() => new Map(names.map((name) => [name, new Float32Array(H * contextLength * D)])));
  let logitsRoom = new Float32Array(0);
  let turn = 0;

  type Cache = Record<string, OrtTensor>;
  const empty: Cache = Object.fromEntries(
    names.map((name) => [`past_key_values.${name}`, new ort.Tensor("float32", new Float32Array(0), [1, H, 0, D])]),
  );

  const step = async (ids: readonly number[], past: number, cache: Cache): Promise<{ logits: Float32Array; cache: Cache }> => {
    const S = past + ids.length;
    const rows = options.logits === "last" ? 1 : ids.length;
    if (logitsRoom.length < rows * V) logitsRoom = new Float32Array(rows * V);
    const fetches: Cache = { logits: new ort.Tensor("float32", logitsRoom.subarray(0, rows * V), [1, rows, V]) };
    for (const [name, room] of sets[turn++ % 2]) fetches[`present.${name}`] = new ort.Tensor("float32", room.subarray(0, H * S * D), [1, H, S, D]);
    const positions = BigInt64Array.from(ids, (_, t) => BigInt(past + t));
    const { logits, ...present } = await session.run(
      {
        input_ids: new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]),
        attention_mask: new ort.Tensor("int64", new BigInt64Array(S).fill(1n), [1, S]),
        position_ids: new ort.Tensor("int64", positions, [1, ids.length]),
        ...cache,
      },
      fetches,
    );
    const next = Object.entries(present).map(([name, tensor]) => [name.replace("present", "past_key_values"), tensor]);
    return { logits: logits.data.subarray((rows - 1) * V, rows * V), cache: Object.fromEntries(next) as Cache };
  };

  return {
    name: `onnxruntime-node ${options.weights ?? "fp32"}${options.logits === "last" ? ", last logits" : ""}`,
    note: `${peerVersion("onnxruntime-node")}, plain exported graph${options.logits === "last" ? " cut to the last position's logits" : ""}, optimised by onnxruntime (all), outputs preallocated`,
    bytesPerWeight: options.weights === "int8" ? 1 : 4,
    logits: async (prompt) => Float32Array.from((await step(prompt, 0, empty)).logits),
    run: async (prompt, count) => {
      const started = seconds();
      let { logits, cache } = await step(prompt, 0, empty);
      let id = largestIndex(logits);
      const first = seconds();
      for (let n = 0; n < count; n++) {
        ({ logits, cache } = await step([id], prompt.length + n, cache));
        id = largestIndex(logits);
      }
      return { prompt: first - started, tokens: seconds() - first };
    },
    dispose: () => session.release(),
  };
}

function sessionOptions(threads: number): object {
  return {
    executionProviders: ["cpu"],
    graphOptimizationLevel: "all",
    executionMode: "sequential",
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  };
}

interface Transformers {
  readonly env: { allowRemoteModels: boolean; localModelPath: string };
  readonly Tensor: new (type: string, data: BigInt64Array, dims: readonly number[]) => object;
  readonly BaseStreamer: new () => object;
  readonly AutoModelForCausalLM: { from_pretrained(folder: string, options: object): Promise<TransformersModel> };
}
interface TransformersModel {
  generate(options: object): Promise<unknown>;
  dispose(): Promise<unknown>;
}

/** @huggingface/transformers on the same graph through `generate`, greedy; undefined when it is not installed. */
export async function transformersEngine(folder: string, threads: number, weights: "fp32" | "int8" = "fp32"): Promise<TextEngine | undefined> {
  const transformers = await peer<Transformers>("@huggingface/transformers");
  if (!transformers) return undefined;
  writeOnnx(folder, { weights });
  transformers.env.allowRemoteModels = false;
  transformers.env.localModelPath = dirname(folder);
  const name = folder.slice(dirname(folder).length + 1);
  const model = await transformers.AutoModelForCausalLM.from_pretrained(name, {
    dtype: weights === "fp32" ? "fp32" : "q8",
    device: "cpu",
    session_options: sessionOptions(threads),
  });
  const generate = async (prompt: readonly number[], tokens: number): Promise<number[]> => {
    const times: number[] = [];
    const size = [1, prompt.length];
    // The streamer hears of the prompt at once, then of every token as it is chosen.
    const streamer = Object.assign(new transformers.BaseStreamer(), { put: () => times.push(seconds()), end: () => {} });
    await model.generate({
      inputs: new transformers.Tensor("int64", BigInt64Array.from(prompt, BigInt), size),
      attention_mask: new transformers.Tensor("int64", new BigInt64Array(prompt.length).fill(1n), size),
      max_new_tokens: tokens,
      min_new_tokens: tokens,
      do_sample: false,
      streamer,
    });
    return times;
  };
  return {
    name: `transformers.js ${weights}`,
    note: `${peerVersion("@huggingface/transformers")}, its generate loop over the same graph`,
    bytesPerWeight: weights === "int8" ? 1 : 4,
    run: async (prompt, count): Promise<Timing> => {
      const started = seconds();
      const times = await generate(prompt, count + 1);
      return { prompt: times[1] - started, tokens: times[count + 1] - times[1] };
    },
    dispose: async () => void (await model.dispose()),
  };
}
