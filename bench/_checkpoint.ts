/**
 * A random checkpoint of GPT-2's shape as a Hugging Face folder, so that speed can be measured without anybody's weights.
 * Same seed, same bytes. Kept under out/bench and reused. The same weights as an ONNX graph: _onnx.ts.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { randomFrom } from "../src/base/random.ts";
import { root } from "./_machine.ts";

export interface Gpt2Shape {
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  readonly contextLength: number;
  readonly vocabularySize: number;
}

/** The smallest of the four GPT-2 models: 124,439,808 parameters. */
export const gpt2Small: Gpt2Shape = { layers: 12, heads: 12, width: 768, contextLength: 1024, vocabularySize: 50257 };

/** Bytes of all weights of `shape` in fp32. */
export function weightBytes(shape: Gpt2Shape): number {
  return 4 * parameterTable(shape).reduce((sum, { size }) => sum + size.reduce((a, b) => a * b), 0);
}

/** Bytes of fp32 weights that a new token makes the processor read: all but the two lookup tables' unused rows (the tied head reads wte whole). */
export function bytesPerToken(shape: Gpt2Shape): number {
  return weightBytes(shape) - 4 * (shape.contextLength - 1) * shape.width;
}

interface Parameter {
  readonly name: string;
  readonly size: readonly number[];
  /** Norm weights are drawn around 1, everything else around 0. */
  readonly mean: number;
}

/** Checkpoint names and shapes of GPT-2 as Hugging Face saves it; Conv1D weights are (inputs, outputs). */
function parameterTable({ layers, width: C, contextLength, vocabularySize }: Gpt2Shape): Parameter[] {
  const norm = (name: string): Parameter[] => parameters(name, [C], 1);
  const block = (n: number): Parameter[] => [
    ...norm(`transformer.h.${n}.ln_1`),
    ...parameters(`transformer.h.${n}.attn.c_attn`, [C, 3 * C], 0),
    ...parameters(`transformer.h.${n}.attn.c_proj`, [C, C], 0),
    ...norm(`transformer.h.${n}.ln_2`),
    ...parameters(`transformer.h.${n}.mlp.c_fc`, [C, 4 * C], 0),
    ...parameters(`transformer.h.${n}.mlp.c_proj`, [4 * C, C], 0),
  ];
  return [
    { name: "transformer.wte.weight", size: [vocabularySize, C], mean: 0 },
    { name: "transformer.wpe.weight", size: [contextLength, C], mean: 0 },
    ...Array.from({ length: layers }, (_, n) => block(n)).flat(),
    ...norm("transformer.ln_f"),
  ];
}

/** A weight of this size and the bias of its last axis. */
function parameters(name: string, size: readonly number[], mean: number): Parameter[] {
  return [
    { name: `${name}.weight`, size, mean },
    { name: `${name}.bias`, size: size.slice(-1), mean: 0 },
  ];
}

/** The folder of a checkpoint of this shape, written on first use: N(0, 0.02) weights, norms around 1, seed 1. */
export function randomCheckpoint(shape: Gpt2Shape = gpt2Small): string {
  const { layers, heads, width, contextLength, vocabularySize } = shape;
  const folder = join(root, "out/bench", `gpt2-${layers}x${width}-h${heads}-t${contextLength}-v${vocabularySize}`);
  const file = join(folder, "model.safetensors");
  mkdirSync(folder, { recursive: true });
  const config = {
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    n_layer: layers,
    n_head: heads,
    n_embd: width,
    n_positions: contextLength,
    n_ctx: contextLength,
    vocab_size: vocabularySize,
    activation_function: "gelu_new",
    layer_norm_epsilon: 1e-5,
    tie_word_embeddings: true,
    bos_token_id: vocabularySize - 1,
    eos_token_id: vocabularySize - 1,
    // Read by transformers.js: the graph's weights stand in a file of their own.
    "transformers.js_config": { use_external_data_format: true },
  };
  writeFileSync(join(folder, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
  writeTokenizer(folder, vocabularySize);
  if (existsSync(file)) return folder;
  console.log(`writing ${(weightBytes(shape) / 1e6).toFixed(0)} MB of random weights, once ...`);
  const table = parameterTable(shape);
  let end = 0;
  const entries = table.map(({ name, size }) => {
    const start = end;
    end += 4 * size.reduce((a, b) => a * b);
    return [name, { dtype: "F32", shape: size, data_offsets: [start, end] }];
  });
  const header = JSON.stringify({ __metadata__: { format: "pt" }, ...Object.fromEntries(entries) });
  const padded = Buffer.from(header.padEnd(Math.ceil((header.length + 8) / 64) * 64 - 8)); // data starts at a multiple of 64
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const handle = openSync(`${file}.part`, "w");
  writeSync(handle, length);
  writeSync(handle, padded);
  const random = randomFrom(1);
  const chunk = new Float32Array(1 << 18);
  for (const { size, mean } of table) {
    const count = size.reduce((a, b) => a * b);
    for (let at = 0; at < count; at += chunk.length) {
      const part = chunk.subarray(0, Math.min(chunk.length, count - at));
      for (let i = 0; i < part.length; i += 2) {
        const radius = 0.02 * Math.sqrt(-2 * Math.log(1 - random.next())); // Box and Muller 1958: two normal numbers at a time
        const angle = 2 * Math.PI * random.next();
        part[i] = mean + radius * Math.cos(angle);
        if (i + 1 < part.length) part[i + 1] = mean + radius * Math.sin(angle);
      }
      writeSync(handle, part);
    }
  }
  closeSync(handle);
  renameSync(`${file}.part`, file);
  return folder;
}

/** GPT-2's own tokenizer when it is at hand and the vocabulary is its size; else one whose words are bytes and numbers. */
function writeTokenizer(folder: string, vocabularySize: number): void {
  const source = join(root, "../shared/data/gpt2-tokenizer");
  const files = ["vocab.json", "merges.txt"];
  if (vocabularySize === gpt2Small.vocabularySize && files.every((file) => existsSync(join(source, file)))) {
    for (const file of files) writeFileSync(join(folder, file), readFileSync(join(source, file))); // copies that can be overwritten
  } else {
    let hidden = 0;
    const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isVisible(byte) ? byte : 256 + hidden++));
    const others = Array.from({ length: Math.max(0, vocabularySize - 257) }, (_, n) => `<${n}>`);
    const words = [...bytes, ...others, "<|endoftext|>"].slice(-vocabularySize);
    writeFileSync(join(folder, "vocab.json"), JSON.stringify(Object.fromEntries(words.map((word, id) => [word, id]))));
    writeFileSync(join(folder, "merges.txt"), "#version: 0.2\n");
  }
  writeFileSync(join(folder, "tokenizer_config.json"), `${JSON.stringify({ tokenizer_class: "GPT2Tokenizer", model_max_length: 1024 })}\n`);
}

/** GPT-2 spells byte b as the character b where it can be seen, else as 256, 257, ... (openai/gpt-2, encoder.py). */
function isVisible(byte: number): boolean {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/** Where a tensor's numbers stand in a safetensors file. */
export interface TensorPlace {
  readonly shape: readonly number[];
  /** Byte offset from the start of the file, and number of bytes. */
  readonly offset: number;
  readonly length: number;
}

/** Places of the fp32 tensors (or of any) of a safetensors file that we trust, because a bench wrote it or a test ships it. */
export function tensorPlaces(file: string, kind: "F32" | "any" = "F32"): Map<string, TensorPlace> {
  const handle = openSync(file, "r");
  const length = Buffer.alloc(8);
  readSync(handle, length, 0, 8, 0);
  const text = Buffer.alloc(Number(length.readBigUInt64LE()));
  readSync(handle, text, 0, text.length, 8);
  closeSync(handle);
  const header = JSON.parse(text.toString("utf8")) as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  const places = new Map<string, TensorPlace>();
  for (const [name, { dtype, shape, data_offsets: range }] of Object.entries(header))
    if (name !== "__metadata__" && (kind === "any" || dtype === kind))
      places.set(name, { shape, offset: 8 + text.length + range[0], length: range[1] - range[0] });
  return places;
}

/** Reads one tensor whole. */
export function readPlace(file: string, { offset, length }: TensorPlace): Float32Array {
  const values = new Float32Array(length / 4);
  const handle = openSync(file, "r");
  readSync(handle, new Uint8Array(values.buffer), 0, length, offset);
  closeSync(handle);
  return values;
}

/** config.json of a folder, as far as benches need it. */
export function readShape(folder: string): Gpt2Shape {
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as Record<string, number>;
  return {
    layers: config.n_layer,
    heads: config.n_head,
    width: config.n_embd,
    contextLength: config.n_positions,
    vocabularySize: config.vocab_size,
  };
}

/** Lets `to` be another name of the file `from`, or a copy where the file system has no links. */
export function shareFile(from: string, to: string): void {
  if (existsSync(to) && statSync(to).size === statSync(from).size && statSync(to).mtimeMs >= statSync(from).mtimeMs) return;
  rmSync(to, { force: true });
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}
