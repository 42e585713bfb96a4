/**
 * The proof that the ONNX graph computes GPT-2: a small checkpoint whose logits PyTorch published, run by onnxruntime on our graph.
 * Without it a peer could be fast by computing something else.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readPlace, tensorPlaces } from "./_checkpoint.ts";
import { root } from "./_machine.ts";
import { onnxruntimeEngine } from "./_onnxruntime.ts";

/** Largest difference between two runs of logits. */
export function largestDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i] - b[i]));
  return largest;
}

/** Root mean square of a - b over that of b. */
export function relativeDifference(a: Float32Array, b: Float32Array): number {
  let difference = 0;
  let size = 0;
  for (let i = 0; i < a.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    size += b[i] ** 2;
  }
  return Math.sqrt(difference / size);
}

/** max |logit difference| to PyTorch over every prefix of the golden sequence; undefined where the data or the peer is missing. */
export async function graphAgainstPyTorch(): Promise<number | undefined> {
  const source = join(root, "../shared/data/golden/gpt2-tiny");
  if (!existsSync(source)) {
    console.log("golden/gpt2-tiny: not there, so the ONNX graph is not checked against PyTorch in this run");
    return undefined;
  }
  const folder = join(root, "out/bench/gpt2-tiny");
  mkdirSync(folder, { recursive: true });
  for (const file of ["config.json", "model.safetensors"]) writeFileSync(join(folder, file), readFileSync(join(source, file)));
  const vectors = join(source, "vectors.safetensors");
  const places = tensorPlaces(vectors, "any");
  const expected = readPlace(vectors, places.get("act/logits")!); // (2, 24, V)
  const ids = new Int32Array(readPlace(vectors, places.get("ids")!).buffer); // (2, 24)
  const [, T, V] = places.get("act/logits")!.shape;

  const engine = await onnxruntimeEngine(folder, 1);
  if (!engine) return undefined;
  let largest = 0;
  for (let t = 1; t <= T; t++)
    largest = Math.max(largest, largestDifference(await engine.logits!([...ids.subarray(0, t)]), expected.subarray((t - 1) * V, t * V)));
  await engine.dispose();
  return largest;
}
