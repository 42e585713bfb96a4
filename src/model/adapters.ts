/**
 * LoRA (Hu et al. 2021): small matrices beside frozen ones. y = W x + b becomes y = W x + b + alpha / rank * B (A x), and only A and B are learned.
 * Here they are attached, listed, merged and taken away; layers.ts's `project` computes with them; files are somebody else's.
 *
 * Targets are named as in PEFT: the last parts of a checkpoint's module names, "c_attn", "attn.c_proj", "q_proj" ...; names of A and B
 * are PEFT's too, "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight". q, k and v that share a matrix here have adapters of their own.
 */
import { nearest, ShapeError, VitrineError } from "../base/errors.ts";
import { randomFrom } from "../base/random.ts";
import { showShape } from "../base/shape.ts";
import type { Device, Matrix } from "../device/device.ts";
import { parametersOf } from "./families.ts";
import type { Learnable } from "./learnable.ts";
import type { LanguageModel, NamedParameter } from "./model.ts";
import type { Parameter } from "./parameters.ts";
import { Transformer } from "./transformer.ts";
import type { Adapter, Linear, ModelWeights } from "./weights.ts";

export interface AdapterOptions {
  /** Rows of A and columns of B: how much the change can say. */
  readonly rank: number;
  /** The change is multiplied by alpha / rank. */
  readonly alpha: number;
  /** Which projections, by the end of their names; all layers. */
  readonly targets: readonly string[];
  /** A begins random, B as 0: the model is unchanged until something is learned. Default 0. */
  readonly seed?: number;
}

/** An adapter with the module it stands beside. */
interface Placed {
  /** "transformer.h.0.attn.c_attn". */
  readonly module: string;
  readonly linear: Linear;
  readonly adapter: Adapter;
}

/** Rows of a matrix read and written at once while merging. */
const ROWS = 256;

/**
 * Puts adapters beside every projection that a target names. Throws VitrineError for a rank or alpha that cannot be, for a target that names
 * nothing, and when there are adapters already.
 */
export function attachAdapters(model: LanguageModel, options: AdapterOptions): Adapters {
  if (!(model instanceof Transformer)) throw new VitrineError("adapters: this model's weights are not here; load it from a folder or a file");
  const { rank, alpha, targets, seed = 0 } = options;
  if (!Number.isInteger(rank) || rank < 1) throw new VitrineError(`adapters: a rank of ${rank}; give a whole number from 1, for example 8`);
  if (!Number.isFinite(alpha) || alpha === 0)
    throw new VitrineError(`adapters: an alpha of ${alpha}; give a number other than 0, for example twice the rank`);
  const { device, weights } = model;
  if (linearsOf(weights).some(({ adapters }) => adapters.length > 0))
    throw new VitrineError("adapters: this model has adapters already; merge or detach them first");

  const chosen = chosenModules(model, targets);
  const placed: Placed[] = [];
  try {
    for (const { module, parameter, linear } of chosen) {
      const adapter = allocate(device, linear.matrix, parameter, rank, alpha);
      placed.push({ module, linear, adapter });
      fillUniform(device, adapter.down, `${module} ${seed}`);
    }
  } catch (error) {
    for (const { adapter } of placed) free(adapter);
    throw error;
  }
  for (const { linear, adapter } of placed) linear.adapters.push(adapter);
  return new Adapters(model, options, placed);
}

/** What `attachAdapters` has put beside a model's weights. Detach or merge it before the model is disposed. */
export class Adapters {
  readonly rank: number;
  readonly alpha: number;
  readonly targets: readonly string[];
  readonly #model: Transformer;
  #placed: readonly Placed[];

  /** Use `attachAdapters`. */
  constructor(model: Transformer, { rank, alpha, targets }: AdapterOptions, placed: readonly Placed[]) {
    this.#model = model;
    this.rank = rank;
    this.alpha = alpha;
    this.targets = targets;
    this.#placed = placed;
  }

  /** Modules that have an adapter, in the order of the checkpoint. */
  get modules(): readonly string[] {
    return this.#placed.map(({ module }) => module);
  }

  /** How many numbers there are to learn. */
  get parameterCount(): number {
    return this.#matrices().reduce((count, { matrix }) => count + matrix.outputs * matrix.inputs, 0);
  }

  /** All A and B, for a tape and an optimiser. */
  learnable(): readonly Learnable[] {
    return this.#matrices().map(({ name, matrix }) => ({ name, weights: matrix, decays: true }));
  }

  /** A (rank, inputs) and B (outputs, rank) of every module, as PEFT saves them. */
  async *parameters(): AsyncGenerator<NamedParameter> {
    for (const { name, matrix } of this.#matrices())
      yield { name, shape: [matrix.outputs, matrix.inputs], values: await this.#model.device.readMatrix(matrix) };
  }

  /** Writes one of them. Throws VitrineError for an unknown name, ShapeError for another count of numbers. */
  writeParameter(name: string, values: Float32Array): void {
    const found = this.#matrices().find((one) => one.name === name);
    if (!found)
      throw new VitrineError(`writeParameter: there is no adapter ${name}; adapters are at ${this.targets.join(", ")}, of rank ${this.rank}`);
    const { outputs, inputs } = found.matrix;
    if (values.length !== outputs * inputs)
      throw new ShapeError(`writeParameter: ${values.length} numbers for ${name} ${showShape([outputs, inputs])}; was it saved with another rank?`);
    this.#model.device.writeMatrix(found.matrix, values, { output: 0, outputs, input: 0, inputs, order: "outputs-first" });
  }

  /** W += alpha / rank * B A for every module, then takes the adapters away: the model says the same and needs them no more. */
  async merge(): Promise<void> {
    for (const { linear, adapter } of this.#placed) await mergeInto(this.#model.device, linear.matrix, adapter);
    this.detach();
  }

  /** Takes the adapters away and gives their memory back; the model is as it was before. Twice is harmless. */
  detach(): void {
    for (const { linear, adapter } of this.#placed) {
      linear.adapters.splice(linear.adapters.indexOf(adapter), 1);
      free(adapter);
    }
    this.#placed = [];
  }

  #matrices(): { readonly name: string; readonly matrix: Matrix }[] {
    return this.#placed.flatMap(({ module, adapter }) => [
      { name: `base_model.model.${module}.lora_A.weight`, matrix: adapter.down },
      { name: `base_model.model.${module}.lora_B.weight`, matrix: adapter.up },
    ]);
  }
}

/** What a target may name in models of this config: "c_attn", "attn.c_proj" ... each once. */
export function adapterTargets(model: LanguageModel): string[] {
  return [...new Set(modulesOf(model).map(({ module }) => module.split(".").slice(-2).join(".")))];
}

interface Module {
  readonly module: string;
  readonly parameter: Parameter;
}

/** All projections of the blocks by their module's name. */
function modulesOf({ config }: LanguageModel): Module[] {
  return parametersOf(config)
    .filter(({ place, shares }) => place.kind === "matrix" && !["Embedding", "Positions", "Unembedding"].includes(shares[0][0]))
    .map((parameter) => ({ module: parameter.name.replace(/\.weight$/, ""), parameter }));
}

function chosenModules(model: Transformer, targets: readonly string[]): (Module & { readonly linear: Linear })[] {
  const modules = modulesOf(model);
  const names = (target: string, module: string): boolean => module === target || module.endsWith(`.${target}`);
  if (targets.length === 0) throw new VitrineError(`adapters: no targets; name projections: ${adapterTargets(model).join(", ")}`);
  for (const target of targets)
    if (!modules.some(({ module }) => names(target, module))) {
      const known = adapterTargets(model);
      const meant = nearest(target, [...known, ...known.map((name) => name.split(".")[1])]);
      throw new VitrineError(`adapters: no projection is called ${target}${meant ? `; did you mean ${meant}?` : "."} There are ${known.join(", ")}`);
    }
  const linears = new Map(linearsOf(model.weights).map((linear) => [linear.matrix, linear]));
  return modules
    .filter(({ module }) => targets.some((target) => names(target, module)))
    .map(({ module, parameter }) => ({ module, parameter, linear: linears.get(matrixOf(model.weights, parameter)) as Linear }));
}

function linearsOf({ blocks }: ModelWeights): Linear[] {
  return blocks.flatMap(({ qkv, output, up, down }) => [qkv, output, up, down]);
}

function matrixOf(weights: ModelWeights, { place }: Parameter): Matrix {
  return place.of(weights) as Matrix; // modulesOf has left out vectors
}

function allocate(device: Device, matrix: Matrix, { shape, place }: Parameter, rank: number, alpha: number): Adapter {
  const outputs = place.kind === "matrix" && place.order === "inputs-first" ? shape[1] : shape[0];
  const down = device.matrix(rank, matrix.inputs);
  try {
    return { down, up: device.matrix(outputs, rank), scale: alpha / rank, at: place.at };
  } catch (error) {
    down.free();
    throw error;
  }
}

function free({ down, up }: Adapter): void {
  down.free();
  up.free();
}

/** Uniform within 1 / sqrt(inputs), as PEFT begins A (Kaiming's with a = sqrt(5)). */
function fillUniform(device: Device, matrix: Matrix, name: string): void {
  const { outputs, inputs } = matrix;
  let hash = 0x811c9dc5; // FNV-1a: each module has a generator of its own
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  const random = randomFrom(hash >>> 0);
  const bound = 1 / Math.sqrt(inputs);
  const values = Float32Array.from({ length: outputs * inputs }, () => (2 * random.next() - 1) * bound);
  device.writeMatrix(matrix, values, { output: 0, outputs, input: 0, inputs, order: "outputs-first" });
}

async function mergeInto(device: Device, matrix: Matrix, { down, up, scale, at }: Adapter): Promise<void> {
  const [rank, inputs] = [down.outputs, down.inputs];
  const [A, B] = [await device.readMatrix(down), await device.readMatrix(up)];
  for (let row = 0; row < up.outputs; row += ROWS) {
    const rows = Math.min(ROWS, up.outputs - row);
    const W = await device.readMatrix(matrix, at + row, rows);
    const change = new Float64Array(inputs);
    for (let i = 0; i < rows; i++) {
      change.fill(0);
      for (let r = 0; r < rank; r++) {
        const b = scale * B[(row + i) * rank + r];
        for (let j = 0; j < inputs; j++) change[j] += b * A[r * inputs + j];
      }
      for (let j = 0; j < inputs; j++) W[i * inputs + j] += change[j];
    }
    device.writeMatrix(matrix, W, { output: at + row, outputs: rows, input: 0, inputs, order: "outputs-first" });
  }
}
