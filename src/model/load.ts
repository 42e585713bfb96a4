/**
 * From a checkpoint to a loaded model: config.json and named tensors in, a LanguageModel out.
 * Tensors are read in blocks straight into the device's matrices, so no second copy of the weights ever exists.
 * How files become a TensorSource is formats/'s business; what config.json may say, config-file.ts's.
 */
import { bytesPerElement } from "../base/dtype.ts";
import { FormatError, VitrineError } from "../base/errors.ts";
import { elements, sameShape, showShape } from "../base/shape.ts";
import type { Device, Matrix, MatrixBlock, MatrixFormat } from "../device/device.ts";
import { inputsAtOnce } from "../device/matrix-format.ts";
import type { TensorInfo, TensorSource } from "../formats/tensor-source.ts";
import type { ModelConfig } from "./config.ts";
import { readConfig } from "./config-file.ts";
import { familyOf } from "./families.ts";
import type { Family } from "./family.ts";
import type { LanguageModel } from "./model.ts";
import type { Parameter } from "./parameters.ts";
import { Transformer } from "./transformer.ts";
import { allocateWeights } from "./weights.ts";
import type { ModelWeights } from "./weights.ts";

export interface LoadOptions {
  /** Numbers loaded so far, of all. Called after every block. */
  readonly onProgress?: (done: number, total: number) => void;
  /** One line about something odd but harmless, for example tensors nobody needs. */
  readonly onWarning?: (message: string) => void;
  readonly signal?: AbortSignal;
  /** How matrices keep their numbers: small weights take less memory and time and are less exact. Default "f32". */
  readonly weights?: MatrixFormat;
}

/** Numbers read at once: 2 MB of fp32. Larger blocks are no faster and leave more garbage at the peak. */
const BLOCK = 2 ** 19;

/**
 * Loads a model from a parsed config.json and its tensors. Does not close the source.
 * Throws FormatError for an unsupported architecture, and when config and tensors disagree: missing, surplus or misshapen tensors.
 */
export async function loadLanguageModel(
  configJson: unknown,
  weights: TensorSource,
  device: Device,
  options: LoadOptions = {},
): Promise<LanguageModel> {
  return loadWeights(readConfig(configJson), weights, device, options);
}

/** The same for a config already read. */
export async function loadWeights(config: ModelConfig, source: TensorSource, device: Device, options: LoadOptions = {}): Promise<LanguageModel> {
  const matched = matchTensors(config, source, options.onWarning); // all checked before anything is allocated
  const total = matched.reduce((sum, { parameter }) => sum + elements(parameter.shape), 0);
  let done = 0;
  const weights = allocateWeights(device, config, familyOf(config).layout, options.weights);
  try {
    const largest = Math.max(...matched.map(({ parameter }) => elements(parameter.shape)));
    const room = new Float32Array(Math.min(largest, 2 * BLOCK)); // one for all: at GPT-2's size fresh ones would be 500 MB of garbage
    for (const { parameter, tensor } of matched)
      await readInto(device, weights, parameter, source, tensor.name, room, (count) => {
        if (options.signal?.aborted) throw new VitrineError(`${source.name}: loading was stopped`, { blame: "work", cause: options.signal.reason });
        options.onProgress?.((done += count), total);
      });
    return new Transformer(config, device, weights);
  } catch (error) {
    weights.dispose();
    throw error;
  }
}

/** A parameter of a model, and the file's tensor that holds it. */
export interface MatchedTensor {
  readonly parameter: Parameter;
  readonly tensor: TensorInfo;
}

/**
 * The checkpoint's tensor of every parameter, in the order of the parameter table, whatever the file calls them. No data is read.
 * Throws FormatError when config and tensors disagree: missing, surplus or misshapen tensors.
 */
export function matchTensors(config: ModelConfig, source: TensorSource, onWarning?: (message: string) => void): MatchedTensor[] {
  const family = familyOf(config);
  const matched = family.parameters(config).map((parameter) => ({ parameter, tensor: findTensor(config, family, source, parameter) }));
  refuseSurplus(config, family, source, matched, onWarning);
  return matched;
}

/** The file's tensor for a parameter, under its full name or without the family's prefix; checked. */
function findTensor(config: ModelConfig, family: Family, source: TensorSource, { name, shape }: Parameter): TensorInfo {
  const info = source.tensors.get(name) ?? source.tensors.get(withoutPrefix(family, name));
  if (!info) throw new FormatError(missing(config, family, source, name, showShape(shape)));
  if (!(info.dtype in bytesPerElement))
    throw new FormatError(`${source.name}: tensor ${info.name} is ${info.dtype}, expected F32, F16 or BF16; use a checkpoint that is not quantised`);
  if (!sameShape(info.shape, shape))
    throw new FormatError(
      `${source.name}: tensor ${info.name} is ${showShape(info.shape)}, but config.json makes it ${showShape(shape)}; ${misshapen(info, shape)}`,
    );
  return info;
}

function missing(config: ModelConfig, family: Family, source: TensorSource, name: string, shape: string): string {
  const what = `${source.name}: tensor ${name} ${shape} is missing`;
  if (name === "lm_head.weight") return `${what}; if the unembedding is the embedding itself, set "tie_word_embeddings": true in config.json`;
  const layers = layerCount(family, source);
  if (layers === 0) return `${what}, and so are all blocks of a ${config.modelType} model; do the weights and config.json belong together?`;
  if (layers !== config.layers) return `${what}: config.json says ${config.layers} layers, the weights have ${layers}; take both from the same model`;
  return `${what}; is the download complete, and does config.json belong to these weights?`;
}

function misshapen(info: TensorInfo, expected: readonly number[]): string {
  if (sameShape(info.shape, [...expected].reverse())) return "it is transposed: were the weights converted from another format?";
  return "take config.json and weights from the same model";
}

/**
 * Tensors nobody asked for. Inside the blocks they would change the computation, so they are an error;
 * elsewhere (a classifier's head) they are named in a warning; leftovers of old versions are passed over.
 */
function refuseSurplus(
  config: ModelConfig,
  family: Family,
  source: TensorSource,
  matched: readonly MatchedTensor[],
  onWarning: ((message: string) => void) | undefined,
): void {
  const expected = new Set(matched.map(({ parameter }) => parameter.name));
  const used = new Set(matched.map(({ tensor }) => tensor.name));
  const surplus = [...source.tensors.keys()].filter((name) => !used.has(name) && !family.ignored.test(name));
  const inBlock = surplus.find((name) => withoutPrefix(family, name).startsWith(family.blocks));
  if (inBlock !== undefined) {
    const layers = layerCount(family, source);
    if (layers > config.layers)
      throw new FormatError(
        `${source.name}: has ${layers} layers (${inBlock}), but config.json says ${config.layers}; take both from the same model`,
      );
    const twice = expected.has(family.prefix + inBlock)
      ? "it is there twice, with and without its prefix"
      : "the model would not be the one its authors trained";
    throw new FormatError(`${source.name}: tensor ${inBlock} has no place in a ${config.modelType} model as config.json describes it; ${twice}`);
  }
  if (surplus.length > 0) {
    const shown = surplus.slice(0, 5).join(", ") + (surplus.length > 5 ? `, and ${surplus.length - 5} more` : "");
    const what = surplus.length === 1 ? "a tensor" : `${surplus.length} tensors`;
    onWarning?.(`${source.name}: ignored ${what} that a ${config.modelType} language model does not use: ${shown}`);
  }
}

/** One more than the highest layer number among the tensor names. */
function layerCount(family: Family, source: TensorSource): number {
  let count = 0;
  for (const name of source.tensors.keys()) {
    const bare = withoutPrefix(family, name);
    if (bare.startsWith(family.blocks)) count = Math.max(count, Number.parseInt(bare.slice(family.blocks.length), 10) + 1 || 0);
  }
  return count;
}

function withoutPrefix(family: Family, name: string): string {
  return name.startsWith(family.prefix) ? name.slice(family.prefix.length) : name;
}

/** Reads a tensor in blocks of whole file rows into its place. */
async function readInto(
  device: Device,
  weights: ModelWeights,
  { shape, place }: Parameter,
  source: TensorSource,
  name: string,
  room: Float32Array,
  loaded: (count: number) => void,
): Promise<void> {
  const width = shape.length === 2 ? shape[1] : 1;
  const fitting = Math.max(1, Math.floor(BLOCK / width));
  const unit = place.kind === "matrix" && place.order === "inputs-first" ? inputsAtOnce[place.of(weights).format] : 1; // a Conv1D's rows are inputs
  const step = Math.max(unit, fitting - (fitting % unit));
  for (let row = 0; row < shape[0]; row += step) {
    const rows = Math.min(step, shape[0] - row);
    const values = await source.read(name, row * width, (row + rows) * width, rows * width <= room.length ? room : undefined);
    if (place.kind === "vector") device.write(place.of(weights).buffer, values, place.at + row);
    else
      writeNamed(
        device,
        `${source.name}: tensor ${name}`,
        place.of(weights),
        values,
        place.order === "outputs-first"
          ? { output: place.at + row, outputs: rows, input: 0, inputs: width, order: place.order }
          : { output: place.at, outputs: width, input: row, inputs: rows, order: place.order },
      );
    loaded(values.length);
  }
}

/** Says which tensor it was when the matrix's format cannot hold its numbers. */
function writeNamed(device: Device, what: string, matrix: Matrix, values: Float32Array, block: MatrixBlock): void {
  try {
    device.writeMatrix(matrix, values, block);
  } catch (error) {
    if (error instanceof VitrineError) throw new VitrineError(`${what}: ${error.message}`, { blame: error.blame, cause: error });
    throw error;
  }
}
