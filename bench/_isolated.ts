/**
 * Every engine in a process of its own: none pays for another's garbage collector, threads or memory, and its peak memory is its own.
 * The parent sees a TextEngine whose calls travel as messages; times are taken in the child.
 */
import { fork } from "node:child_process";
import type { GgufType } from "../src/formats/gguf-type.ts";
import type { TextEngine, Timing } from "./_engines.ts";
import { llamaEngine } from "./_llama.ts";
import { countAsOwn, peakMemory } from "./_machine.ts";
import { onnxruntimeEngine, transformersEngine } from "./_onnxruntime.ts";
import type { OnnxOptions } from "./_onnx.ts";
import { vitrineEngine, type VitrinePath, type WeightFormat } from "./_vitrine.ts";

/** Which engine a child is to open. */
export type EngineSpec = { readonly folder: string; readonly threads: number } & (
  | { readonly kind: "vitrine"; readonly device: string | undefined; readonly path: VitrinePath; readonly weights: WeightFormat }
  | { readonly kind: "onnxruntime"; readonly options: OnnxOptions }
  | { readonly kind: "transformers"; readonly weights: "fp32" | "int8" }
  | { readonly kind: "llama"; readonly type: GgufType }
);

/** An engine elsewhere. */
export interface IsolatedEngine extends TextEngine {
  /** Whether `logits` is worth calling. */
  readonly hasLogits: boolean;
  /** The most memory its process ever held, in bytes. */
  peakMemory(): Promise<number>;
}

type Request =
  | { readonly call: "logits"; readonly prompt: readonly number[] }
  | { readonly call: "run"; readonly prompt: readonly number[]; readonly count: number }
  | { readonly call: "peak" };
type Hello =
  { readonly name: string; readonly note: string; readonly bytesPerWeight: number; readonly hasLogits: boolean } | { readonly name: undefined };

function open(spec: EngineSpec): Promise<TextEngine | undefined> {
  const { kind, folder, threads } = spec;
  switch (kind) {
    case "vitrine":
      return vitrineEngine(folder, threads, spec.device, spec.path, spec.weights);
    case "onnxruntime":
      return onnxruntimeEngine(folder, threads, spec.options);
    case "transformers":
      return transformersEngine(folder, threads, spec.weights);
    case "llama":
      return llamaEngine(folder, threads, spec.type);
    default:
      return kind satisfies never;
  }
}

/** Starts this same program again with `--engine SPEC`, where it must call `serve`. Undefined when the peer is not installed. */
export async function isolated(spec: EngineSpec): Promise<IsolatedEngine | undefined> {
  const child = fork(process.argv[1], ["--engine", JSON.stringify(spec)], {
    serialization: "advanced",
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const stopCounting = countAsOwn(child.pid);
  child.on("exit", stopCounting);
  const answer = <T>(): Promise<T> =>
    new Promise((resolve, reject) => {
      const ended = (status: number | null): void => reject(new Error(`bench: the process of ${JSON.stringify(spec)} ended with ${status}`));
      child.once("exit", ended);
      child.once("message", (message) => {
        child.off("exit", ended);
        resolve(message as T);
      });
    });
  const ask = <T>(request: Request): Promise<T> => {
    const answered = answer<T>();
    child.send(request);
    return answered;
  };
  const hello = await answer<Hello>();
  if (hello.name === undefined) {
    child.kill();
    return undefined;
  }
  return {
    ...hello,
    logits: (prompt) => ask<Float32Array>({ call: "logits", prompt }),
    run: (prompt, count) => ask<Timing>({ call: "run", prompt, count }),
    peakMemory: () => ask<number>({ call: "peak" }),
    dispose: () => void child.kill(),
  };
}

/** The child's side: opens the engine and answers until the parent ends it. */
export async function serve(spec: EngineSpec): Promise<void> {
  const engine = await open(spec);
  const handle = async (request: Request): Promise<unknown> => {
    if (request.call === "peak") return peakMemory();
    (globalThis as { gc?: () => void }).gc?.();
    return request.call === "run" ? engine!.run(request.prompt, request.count) : engine!.logits!(request.prompt);
  };
  process.on("message", (request: Request) => {
    handle(request).then(
      (answer) => process.send!(answer),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
  process.on("disconnect", () => process.exit());
  const hello: Hello = engine
    ? { name: engine.name, note: engine.note, bytesPerWeight: engine.bytesPerWeight, hasLogits: engine.logits !== undefined }
    : { name: undefined };
  process.send!(hello);
}
