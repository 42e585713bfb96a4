/**
 * The proof of our GGUF files by somebody else's engine: llama.cpp loads what `vitrine export` writes, cuts text into the same ids,
 * and predicts the same next tokens as our reference device at every position. Fails (exit code 1) when it does not at f32.
 * Models are a published one, random ones, and two that `vitrine train` makes here: tokenizer, weights and folder all our own.
 *
 * Two things of llama.cpp's show in the table: it looks GELU up in a table of fp16 numbers (with the MLPs of the random GPT-2 silenced,
 * its probabilities came within 3e-7 of ours instead of 2e-5), and with quantised weights it rounds activations to 8 bits as well.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Folder } from "../src/base/bytes.ts";
import type { JsonObject } from "../src/base/json.ts";
import { openReference } from "../src/device/reference/reference.ts";
import { exportGguf } from "../src/engine/export.ts";
import { loadEngine } from "../src/engine/load.ts";
import type { LocalEngine } from "../src/engine/local.ts";
import { ggufDimensions, ggufForm, type GgufModel } from "../src/formats/gguf-model.ts";
import { ggufTokenizer } from "../src/formats/gguf-tokenizer.ts";
import type { GgufType } from "../src/formats/gguf-type.ts";
import { writeModelFolder } from "../src/formats/save-folder.ts";
import { writeGguf } from "../src/formats/write-gguf.ts";
import { type Candidate, distributionOf } from "../src/generation/distribution.ts";
import { nodeFolder, nodeFolderWriter } from "../src/host/node-files.ts";
import { resolveModel } from "../src/host/node-models.ts";
import type { ModelConfig } from "../src/model/config.ts";
import { configToFile, readConfig } from "../src/model/config-file.ts";
import { gpt2Config } from "../src/model/presets.ts";
import { randomWeights } from "../src/model/random-weights.ts";
import { root, textOption } from "./_machine.ts";
import { peer, peerVersion } from "./_peers.ts";
import { finish, showTable } from "./_report.ts";

export const name = "llama-agreement";
export const description = "llama.cpp on our GGUF exports: same ids, same top 10, same probabilities (a proof, not a race)";

const types: readonly GgufType[] = ["F32", "F16", "Q8_0", "Q4_0"];
const out = join(root, "out/bench/agreement");

const prompts: readonly string[] = [
  "Once upon a time",
  "To date, the cleverest thinker of all time was",
  'Lily and Ben went to the park. They saw a big dog, and the dog said:\n"Hello! I\'m 7 years old."\n\nBen',
  "The little girl was very happy because her mom gave her a red ball. She ran outside to play with it. But the ball rolled down the hill and into the",
];

/** Cut into ids only: what tokenizers stumble over. */
const texts: readonly string[] = [
  ...prompts,
  " two  spaces,   three,\ttab\n\n\nlines ",
  "don't I'LL we've it's 'tis",
  "Straße, naïve café, Ωmega, привет, 日本語テキスト, नमस्ते, 👩‍👩‍👧 🙂",
  "1234567890 3.14 x2 a1b2",
  '<b>&amp;</b> {"k": [1, 2]} // -- == ++',
  "",
];

interface LlamaSequence {
  clearHistory(): Promise<void>;
  controlledEvaluate(
    input: readonly (readonly [number, object])[],
  ): Promise<readonly ({ next: { probabilities?: Map<number, number> } } | undefined)[]>;
}
interface LlamaModel {
  tokenize(text: string): number[];
  createContext(options: object): Promise<{ getSequence(): LlamaSequence }>;
  dispose(): Promise<void>;
}
interface NodeLlama {
  getLlama(options: object): Promise<{ loadModel(options: object): Promise<LlamaModel> }>;
}

/** How far two engines agree on one file. */
interface Agreement {
  readonly bytes: number;
  readonly positions: number;
  /** Positions at which the ten most probable ids are the same, in the same order; and how many more when ids whose probabilities lie within 1 % may swap. */
  readonly sameTop10: number;
  readonly tiedTop10: number;
  /** Over all ids in either top 100. */
  readonly largestDifference: number;
  readonly texts: number;
  readonly sameIds: number;
}

/** A model of random weights as a Hugging Face folder, with a real tokenizer. Weights are larger than usual, so that probabilities differ. */
async function randomFolder(folder: string, config: ModelConfig, tokenizer: string, files: readonly string[]): Promise<string> {
  const path = join(out, folder);
  mkdirSync(path, { recursive: true });
  for (const file of files) copyFileSync(join(root, "../shared/data", tokenizer, file), join(path, file));
  const weights = randomWeights(config, 1, 0.2);
  const tensors = [...weights.tensors.values()];
  await writeModelFolder(nodeFolderWriter(path), {
    config: configToFile(config),
    weights: await Promise.all(
      tensors.map(async ({ name: tensor, shape }) => ({ name: tensor, shape, dtype: "F32" as const, values: await weights.read(tensor) })),
    ),
  });
  return path;
}

/** What `vitrine train` leaves after a few steps on Shakespeare with a vocabulary of its own. Made once. */
function trainedFolder(architecture: "gpt2" | "llama"): string {
  const path = join(out, `trained-${architecture}`);
  if (existsSync(join(path, "config.json"))) return path;
  const shape = ["--layers", "2", "--heads", "4", "--width", "64", "--context", "256", "--vocabulary", "1000"];
  const args = ["train", join(root, "../shared/data/shakespeare"), "--out", path, "--architecture", architecture, ...shape];
  const steps = ["--steps", "80", "--batch", "4", "--learning-rate", "0.003", "--evaluate-batches", "2", "--sample-every", "0", "--force"];
  const { status } = spawnSync(process.execPath, [join(root, "bin/vitrine.js"), ...args, ...steps], { stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error(`bench: vitrine ${args.join(" ")} ended with ${status}`);
  return path;
}

/** Its own unembedding, heads of 16, three queries to a key: what stories260K has not. */
const randomLlama = readConfig({
  model_type: "llama",
  num_hidden_layers: 3,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  hidden_size: 96,
  intermediate_size: 256,
  vocab_size: 512,
  max_position_embeddings: 256,
  rope_theta: 50000,
});
const randomGpt2 = gpt2Config({ layers: 3, heads: 4, width: 64, vocabularySize: 50257, contextLength: 256 });

async function compareOn(file: string, llama: { loadModel(options: object): Promise<LlamaModel> }, ours: LocalEngine): Promise<Agreement> {
  const theirs = await llama.loadModel({ modelPath: file });
  const context = await theirs.createContext({
    contextSize: 256,
    threads: 1,
    flashAttention: false,
    experimentalKvCacheKeyType: "F32",
    experimentalKvCacheValueType: "F32",
  });
  const sequence = context.getSequence();
  let [positions, sameTop10, tiedTop10, largestDifference, sameIds] = [0, 0, 0, 0, 0];
  for (const prompt of prompts) {
    const ids = ours.tokenizer.encode(prompt);
    const logits = ours.model.forward([ids], { logits: "all" });
    const numbers = await logits.read();
    logits.dispose();
    await sequence.clearHistory();
    const options = { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 1 };
    const answers = await sequence.controlledEvaluate(ids.map((id) => [id, { generateNext: { probabilities: true, options } }]));
    const V = ours.info.vocabularySize;
    for (const [t, answer] of answers.entries()) {
      const own = distributionOf(numbers.subarray(t * V, (t + 1) * V)).top(100);
      const other = answer?.next.probabilities ?? new Map<number, number>();
      positions++;
      if (sameFirst(own, other, 10, 0)) sameTop10++;
      else if (sameFirst(own, other, 10, 0.01)) tiedTop10++;
      largestDifference = Math.max(largestDifference, difference(own, other));
    }
  }
  for (const text of texts) {
    const [own, other] = [ours.tokenizer.encode(text, { template: false }), theirs.tokenize(text)]; // llama.cpp leaves the start token to its caller
    if (String(own) === String(other)) sameIds++;
    else console.log(`${file}: other ids for ${JSON.stringify(text)}: ours ${own.join(" ")}, theirs ${other.join(" ")}`);
  }
  await theirs.dispose();
  return { bytes: statSync(file).size, positions, sameTop10, tiedTop10, largestDifference, texts: texts.length, sameIds };
}

/** Whether the first n are the same, place by place, or at least as probable as the one in that place but for this share. */
function sameFirst(own: readonly Candidate[], other: ReadonlyMap<number, number>, n: number, tolerance: number): boolean {
  const ids = [...other.keys()].slice(0, n);
  const probabilityOf = new Map(own.map(({ id, probability }) => [id, probability]));
  return ids.length === n && ids.every((id, i) => id === own[i].id || Math.abs((probabilityOf.get(id) ?? 0) / own[i].probability - 1) < tolerance);
}

function difference(own: readonly Candidate[], other: ReadonlyMap<number, number>): number {
  const probability = new Map(own.map((candidate) => [candidate.id, candidate.probability]));
  let largest = 0;
  for (const { id, probability: p } of own) largest = Math.max(largest, Math.abs(p - (other.get(id) ?? 0)));
  for (const [id, p] of [...other].slice(0, 10)) if (!probability.has(id)) largest = Math.max(largest, p);
  return largest;
}

/**
 * The random Llama with its embedding in blocks and everything else fp32: llama.cpp looks rows up without rounding anything else,
 * so that what a block's bytes mean is compared exactly.
 */
async function writeEmbeddingBlocks(folder: string, type: GgufType, file: string): Promise<void> {
  const tokenizer = JSON.parse(readFileSync(join(folder, "tokenizer.json"), "utf8")) as JsonObject;
  const { vocabularySize, rotary } = randomLlama;
  const model: GgufModel = { ...randomLlama, architecture: "llama", rotaryTheta: rotary?.theta };
  const facts = { vocabularySize, bosId: 1, eosId: 2, addBos: true, addEos: false, chatTemplate: undefined };
  const values = new Map([...ggufDimensions("random", model), ...ggufTokenizer(tokenizer, facts)]);
  const weights = randomWeights(randomLlama, 1, 0.2);
  const tensors = [...weights.tensors.values()].map(({ name: tensor, shape }) => {
    const form = ggufForm(model, tensor, shape);
    const numbers = async function* (): AsyncGenerator<Float32Array> {
      const read = await weights.read(tensor);
      yield form.relay ? form.relay(read) : read;
    };
    return { name: form.name, shape: form.shape, type: form.name === "token_embd.weight" ? type : ("F32" as const), values: numbers };
  });
  await nodeFolderWriter(out).write(file, writeGguf(values, tensors));
}

export async function run(): Promise<void> {
  if (!existsSync(join(root, "../shared/data"))) return console.log("../shared/data is not here, and with it the models to compare on");
  const package_ = await peer<NodeLlama>("node-llama-cpp");
  if (!package_) return;
  const llama = await package_.getLlama({ gpu: false, build: "never", logLevel: "error", progressLogs: false });
  mkdirSync(out, { recursive: true });
  const models: [string, string][] = [
    ["stories260K", join(root, "../shared/data/stories260K")],
    ["random GPT-2", await randomFolder("random-gpt2", randomGpt2, "gpt2-tokenizer", ["vocab.json", "merges.txt"])],
    ["random Llama", await randomFolder("random-llama", randomLlama, "stories260K", ["tokenizer.json"])],
    ["trained GPT-2", trainedFolder("gpt2")],
    ["trained Llama", trainedFolder("llama")],
  ];
  const results: Record<string, Agreement> = {};
  const rows: string[][] = [];
  const compareFile = async (title: string, file: string, from: Folder): Promise<void> => {
    const ours = await loadEngine(from, openReference());
    const found = await compareOn(join(out, file), llama, ours);
    ours.dispose();
    results[title] = found;
    rows.push([
      title,
      (found.bytes / 1e6).toFixed(2),
      `${found.sameIds} of ${found.texts}`,
      `${found.sameTop10} of ${found.positions}`,
      found.tiedTop10 === 0 ? "" : `${found.tiedTop10} more`,
      found.largestDifference.toExponential(1),
    ]);
  };
  const only = textOption("only");
  for (const [model, folder] of models) {
    if (only !== undefined && !model.includes(only)) continue;
    for (const type of (textOption("types")?.split(",") as GgufType[] | undefined) ?? types) {
      const file = `${model.replace(" ", "-").toLowerCase()}-${type}.gguf`;
      await exportGguf(nodeFolder(folder), nodeFolderWriter(out), file, {
        type,
        name: model,
        onNote: (note) => console.log(`${model} ${type}: ${note}`),
      });
      // At f32 our side reads the original folder; else the exported file, or rounding would count as disagreement.
      await compareFile(`${model} ${type}`, file, type === "F32" ? nodeFolder(folder) : (await resolveModel(join(out, file))).folder);
    }
  }
  for (const type of only === undefined ? (["Q8_0", "Q4_0"] as const) : []) {
    const file = `embedding-${type}.gguf`;
    await writeEmbeddingBlocks(join(out, "random-llama"), type, file);
    await compareFile(`random Llama, only its embedding ${type}`, file, (await resolveModel(join(out, file))).folder);
  }
  showTable(
    [
      `${peerVersion("node-llama-cpp")} on our files`,
      "MB",
      "texts with the same ids",
      "positions with the same top 10",
      "within 1 %",
      "largest difference of a probability",
    ],
    rows,
  );
  const exact = Object.keys(results).filter((title) => / F32$|only/.test(title));
  const proven =
    exact.length > 0 &&
    exact.every((title) => {
      const { sameTop10, tiedTop10, positions, largestDifference, sameIds } = results[title];
      return sameTop10 + tiedTop10 === positions && largestDifference <= 1e-3 && sameIds === texts.length;
    });
  console.log(proven ? "proven: at f32 llama.cpp and Vitrine agree" : "NOT PROVEN: at f32 llama.cpp and Vitrine differ");
  if (!proven) process.exitCode = 1;
  finish(name, { peer: peerVersion("node-llama-cpp"), proven, results });
}

await run();
