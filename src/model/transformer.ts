/**
 * The loaded model: weights of either family behind the LanguageModel interface.
 * What happens inside a pass is told in gpt2.ts and llama.ts; how weights get here in load.ts.
 */
import { ShapeError, VitrineError } from "../base/errors.ts";
import { elements, showShape } from "../base/shape.ts";
import type { Device, Matrix } from "../device/device.ts";
import { tensorScope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { ModelConfig } from "./config.ts";
import { familyOf } from "./families.ts";
import { DeviceCache } from "./kv-cache.ts";
import type { KeyValueCache } from "./kv-cache.ts";
import { learnableOf } from "./learnable.ts";
import type { Learnable } from "./learnable.ts";
import type { ForwardOptions, LanguageModel, NamedParameter } from "./model.ts";
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

  writeParameter(name: string, values: Float32Array): void {
    const parameter = familyOf(this.config)
      .parameters(this.config)
      .find((one) => one.name === name);
    if (!parameter)
      throw new VitrineError(`writeParameter: this ${this.config.modelType} model has no tensor ${name}; names are those of parameters()`);
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

  dispose(): void {
    this.weights.dispose();
    this.#rotary?.dispose();
  }
}

/** The numbers of one checkpoint tensor, as they lie in the file. */
async function readParameter(device: Device, weights: ModelWeights, { shape, place }: Parameter): Promise<Float32Array> {
  if (place.kind === "vector") return (await place.of(weights).read()).slice(place.at, place.at + shape[0]);
  if (place.order === "outputs-first") return device.readMatrix(place.of(weights), place.at, shape[0]);
  const [inputs, outputs] = shape;
  const rows = await device.readMatrix(place.of(weights), place.at, outputs); // (outputs, inputs)
  const values = new Float32Array(rows.length);
  for (let i = 0; i < outputs; i++) for (let j = 0; j < inputs; j++) values[j * outputs + i] = rows[i * inputs + j];
  return values;
}

/** A whole checkpoint matrix into its rows of a device matrix. */
function writeRows(device: Device, matrix: Matrix, values: Float32Array, { shape, place }: Parameter): void {
  const [first, second] = shape;
  if (place.kind === "matrix" && place.order === "inputs-first")
    device.writeMatrix(matrix, values, { output: place.at, outputs: second, input: 0, inputs: first, order: place.order });
  else device.writeMatrix(matrix, values, { output: place.at, outputs: first, input: 0, inputs: second, order: "outputs-first" });
}
