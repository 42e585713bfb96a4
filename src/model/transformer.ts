/**
 * The loaded model: weights of either family behind the LanguageModel interface.
 * What happens inside a pass is told in gpt2.ts and llama.ts; how weights get here in load.ts.
 */
import { ShapeError, VitrineError } from "../base/errors.ts";
import { elements, showShape } from "../base/shape.ts";
import type { Device, Matrix } from "../device/device.ts";
import { linear } from "../tensor/ops/linear.ts";
import { tensorScope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { ModelConfig } from "./config.ts";
import { familyOf } from "./families.ts";
import { DeviceCache } from "./kv-cache.ts";
import type { KeyValueCache } from "./kv-cache.ts";
import { learnableOf } from "./learnable.ts";
import type { Learnable } from "./learnable.ts";
import { project } from "./layers.ts";
import type { ForwardOptions, LanguageModel, NamedParameter, ParameterPart } from "./model.ts";
import { countParameters } from "./parameters.ts";
import type { Parameter } from "./parameters.ts";
import { beginPass } from "./pass.ts";
import { RotaryTables } from "./rotary.ts";
import type { ModelWeights } from "./weights.ts";

export class Transformer implements LanguageModel {
  readonly config: ModelConfig;
  readonly device: Device;
  readonly parameterCount: number;
  /** For the neighbours in this room; the rest of the world has `parameters` and `learnable`. */
  readonly weights: ModelWeights;
  readonly #rotary: RotaryTables | undefined;

  constructor(config: ModelConfig, device: Device, weights: ModelWeights) {
    this.config = config;
    this.device = device;
    this.parameterCount = countParameters(familyOf(config).parameters(config));
    this.weights = weights;
    this.#rotary = config.rotary && new RotaryTables(device, config.rotary, config.contextLength);
  }

  forward(tokens: readonly (readonly number[])[], options: ForwardOptions = {}): Tensor {
    using scope = tensorScope();
    const pass = beginPass(this.device, this.config, tokens, options);
    const logits = familyOf(this.config).forward(pass, this.weights, scope, this.#rotary);
    pass.cache?.advance(pass.counts);
    return scope.keep(logits);
  }

  cache(B: number = 1, capacity: number = this.config.contextLength): KeyValueCache {
    return new DeviceCache(this.device, this.config, B, Math.min(capacity, this.config.contextLength));
  }

  async *parameters(): AsyncGenerator<NamedParameter> {
    for (const parameter of familyOf(this.config).parameters(this.config))
      yield { name: parameter.name, shape: parameter.shape, values: await readParameter(this.device, this.weights, parameter) };
  }

  async readParameter(name: string, part: ParameterPart = {}): Promise<Float32Array> {
    return readParameter(this.device, this.weights, this.#parameter("readParameter", name), part);
  }

  unembed(x: Tensor, normed = false): Tensor {
    using scope = tensorScope();
    const final = normed ? x : familyOf(this.config).finalNorm(x, this.weights, this.config);
    return scope.keep(linear(final, this.weights.unembedding));
  }

  writeOut(layer: number, part: "attention" | "mlp", x: Tensor): Tensor {
    using scope = tensorScope();
    const block = this.weights.blocks.at(layer);
    if (!block || layer < 0) throw new VitrineError(`writeOut: layer ${layer} of ${this.config.layers}; they count from 0`);
    return scope.keep(project(x, { ...(part === "attention" ? block.output : block.down), bias: null }));
  }

  writeParameter(name: string, values: Float32Array): void {
    const parameter = this.#parameter("writeParameter", name);
    const { shape, place } = parameter;
    if (values.length !== elements(shape))
      throw new ShapeError(
        `writeParameter: ${values.length} numbers for ${name} ${showShape(shape)}; was it saved from a model of other dimensions?`,
      );
    if (place.kind === "vector") this.device.write(place.of(this.weights).buffer, values, place.at);
    else writeRows(this.device, place.of(this.weights), values, parameter);
  }

  learnable(): readonly Learnable[] {
    return learnableOf(this.weights);
  }

  #parameter(operation: string, name: string): Parameter {
    const parameter = familyOf(this.config)
      .parameters(this.config)
      .find((one) => one.name === name);
    if (!parameter)
      throw new VitrineError(`${operation}: this ${this.config.modelType} model has no tensor ${name}; names are those of parameters()`);
    return parameter;
  }

  dispose(): void {
    this.weights.dispose();
    this.#rotary?.dispose();
  }
}

/** The numbers of one checkpoint tensor, or of part of it, as they lie in the file. */
async function readParameter(
  device: Device,
  weights: ModelWeights,
  { name, shape, place }: Parameter,
  { rows: askedRows, columns: askedColumns }: ParameterPart = {},
): Promise<Float32Array> {
  const [height, width] = shape.length === 1 ? [1, shape[0]] : shape;
  const [row, rows] = inside(name, "rows", askedRows, height);
  const [column, columns] = inside(name, "columns", askedColumns, width);
  if (place.kind === "vector") return (await place.of(weights).read()).slice(place.at + column, place.at + column + rows * columns);
  const values = new Float32Array(rows * columns);
  if (place.order === "outputs-first") {
    const held = await device.readMatrix(place.of(weights), place.at + row, rows); // (rows, width)
    if (columns === width) return held;
    for (let i = 0; i < rows; i++) values.set(held.subarray(i * width + column, i * width + column + columns), i * columns);
    return values;
  }
  const held = await device.readMatrix(place.of(weights), place.at + column, columns); // (columns, height)
  for (let j = 0; j < columns; j++) for (let i = 0; i < rows; i++) values[i * columns + j] = held[j * height + row + i];
  return values;
}

/** A range that lies within `size`, all of it where none was asked for. */
function inside(name: string, what: string, asked: readonly [number, number] | undefined, size: number): readonly [number, number] {
  const [from, count] = asked ?? [0, size];
  if (!Number.isInteger(from) || !Number.isInteger(count) || from < 0 || count < 0 || from + count > size)
    throw new ShapeError(`readParameter: ${count} ${what} from ${from} of ${name}, which has ${size}; ask for a part that lies inside`);
  return [from, count];
}

/** A whole checkpoint matrix into its rows of a device matrix. */
function writeRows(device: Device, matrix: Matrix, values: Float32Array, { shape, place }: Parameter): void {
  const [first, second] = shape;
  if (place.kind === "matrix" && place.order === "inputs-first")
    device.writeMatrix(matrix, values, { output: place.at, outputs: second, input: 0, inputs: first, order: place.order });
  else device.writeMatrix(matrix, values, { output: place.at, outputs: first, input: 0, inputs: second, order: "outputs-first" });
}
