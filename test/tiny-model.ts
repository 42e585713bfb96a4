/**
 * Writes a small GPT-2 with random weights as a Hugging Face folder, for tests that need some model and no data from outside:
 * its text is nonsense, but every part of the road is real. Byte-level BPE over 256 bytes, five merges and one end-of-text token.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { elements } from "../src/base/shape.ts";
import { tensorsToWrite, writeModelFolder } from "../src/formats/save-folder.ts";
import type { NamedValues } from "../src/formats/save-folder.ts";
import { nodeFolderWriter } from "../src/host/node-files.ts";
import { configToFile } from "../src/model/config-file.ts";
import { gpt2Config } from "../src/model/presets.ts";
import { randomWeights } from "../src/model/random-weights.ts";

export interface TinySizes {
  readonly layers?: number;
  readonly heads?: number;
  readonly width?: number;
  readonly contextLength?: number;
  readonly seed?: number;
}

/** Fills `path` with the model's files. Same seed, same bytes. */
async function writeTinyModel(path: string, sizes: TinySizes = {}): Promise<void> {
  const { layers = 2, heads = 2, width = 16, contextLength = 64, seed = 1 } = sizes;
  const vocabulary = tinyVocabulary();
  const V = Object.keys(vocabulary).length;
  const config = gpt2Config({ layers, heads, width, contextLength, vocabularySize: V });
  const weights = randomWeights(config, seed, 0.3); // larger than training starts with, so that predictions differ from place to place
  const parameters = async function* (): AsyncGenerator<NamedValues> {
    for (const { name, shape } of weights.tensors.values()) yield { name, shape, values: await weights.read(name, 0, elements(shape)) };
  };
  await writeModelFolder(nodeFolderWriter(path), {
    config: { ...configToFile(config), bos_token_id: V - 1, eos_token_id: V - 1 },
    weights: await tensorsToWrite(parameters),
    tokenizerFiles: {
      "vocab.json": JSON.stringify(vocabulary),
      "merges.txt": `#version: 0.2\n${merges.join("\n")}\n`,
    },
    generationConfig: { bos_token_id: V - 1, eos_token_id: V - 1 },
  });
}

/** A tiny model in a temporary folder, and how to remove it. */
export async function temporaryTinyModel(sizes?: TinySizes): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "vitrine-tiny-"));
  await writeTinyModel(path, sizes);
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

const merges = ["Ġ t", "h e", "Ġt he", "i n", "e r"];

/** GPT-2's 256 byte characters in byte order, the merged pieces, the end-of-text token. */
function tinyVocabulary(): Record<string, number> {
  const pieces: string[] = [];
  let shifted = 0;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    pieces.push(String.fromCharCode(printable ? byte : 256 + shifted++));
  }
  pieces.push(...merges.map((merge) => merge.replace(" ", "")), "<|endoftext|>");
  return Object.fromEntries(pieces.map((piece, id) => [piece, id]));
}
