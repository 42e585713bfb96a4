/**
 * What the library offers in Node and in a page alike, each name listed once, in the order of a reader's questions.
 * index.ts and index.browser.ts add what only one of them can do: opening files, devices, the hub.
 */

// Load

export { loadEngine, loadTokenizerOnly } from "./engine/load.ts";
export type { LoadEngineOptions } from "./engine/load.ts";
export { saveModel } from "./engine/save.ts";
export type { SaveOptions } from "./engine/save.ts";
export type { Engine, ModelInfo } from "./engine/engine.ts";
export type { LocalEngine } from "./engine/local.ts";
export type { ByteSource, Folder, FolderWriter } from "./base/bytes.ts";
export type { FloatType } from "./base/dtype.ts";
export type { Device, MatrixFormat } from "./device/device.ts";
export { FormatError, ShapeError, VitrineError } from "./base/errors.ts";

// Tokenize

export { characterTokenizer, characterTokenizerJson } from "./tokenizer/characters.ts";
export type { EncodeOptions, MergeStep, StreamDecoder, Token, Tokenizer } from "./tokenizer/tokenizer.ts";
export { trainBpe } from "./tokenizer/train.ts";
export type { CountPieces, TrainBpeOptions, TrainedBpe } from "./tokenizer/train.ts";
export { saveTokenizer } from "./tokenizer/train-files.ts";

// Predict, sample, generate, score

export { distributionOf, retemper } from "./generation/distribution.ts";
export type { Candidate, CompleteDistribution, Distribution } from "./generation/distribution.ts";
export { divergence } from "./generation/divergence.ts";
export { checkSampling, sampler } from "./generation/sampling.ts";
export type { Sampler, SamplingOptions } from "./generation/sampling.ts";
export type { EndReason, GenerateEnd, GenerateOptions, ScoredStep, Step } from "./generation/step.ts";
export { randomFrom } from "./base/random.ts";
export type { Random } from "./base/random.ts";

// Look inside

export { tapNames, taps } from "./model/taps.ts";
export type { TapListener, Taps } from "./model/taps.ts";
export { capture } from "./inspection/capture.ts";
export { lensStages, logitLens, rankLadder } from "./inspection/lens.ts";
export type { LensOptions } from "./inspection/lens.ts";
export { contributions } from "./inspection/contributions.ts";
export type { ContributionOptions } from "./inspection/contributions.ts";
export { headStages, patterns } from "./inspection/attention.ts";
export type { PatternOptions } from "./inspection/attention.ts";
export { neurons } from "./inspection/neurons.ts";
export type { NeuronOptions } from "./inspection/neurons.ts";
export { editTaps, forwardWith } from "./inspection/edits.ts";
export { matrixOf } from "./inspection/matrices.ts";
export type { MatrixCategory, NamedMatrix } from "./inspection/matrices.ts";
export type {
  Activation,
  Contributions,
  Edit,
  Followed,
  HeadStages,
  Leaders,
  Lens,
  Neuron,
  Neurons,
  Patterns,
  Push,
  Pushed,
  Rung,
  Stage,
  WeightBlock,
} from "./inspection/inspection.ts";
export { Tensor, tensor } from "./tensor/tensor.ts";
export { tensorScope } from "./tensor/scope.ts";
export { tally } from "./model/tally.ts";
export type { Tally, TallyRow } from "./model/tally.ts";
export { presetConfig, presetNames } from "./model/presets.ts";
export type { Dimensions } from "./model/presets.ts";
export type { ModelConfig, RotaryConfig } from "./model/config.ts";
export type { ForwardOptions, LanguageModel } from "./model/model.ts";
export type { KeyValueCache } from "./model/kv-cache.ts";

// Learn

export { Tape } from "./tensor/tape.ts";
export { linear } from "./tensor/ops/linear.ts";
export { squaredError } from "./tensor/ops/squared-error.ts";
export { AdamW } from "./training/optimiser.ts";
export type { AdamWOptions } from "./training/optimiser.ts";
export type { Learnable } from "./model/learnable.ts";
