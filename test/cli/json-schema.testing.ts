/**
 * docs/json.md as schemas: every line the command writes with --json must be one of these, with no field beside them.
 */
import { z } from "zod";
import type {
  CompareLine,
  DeviceLine,
  ExportedLine,
  EvaluationLine,
  GenerateEndLine,
  MergesLine,
  ModelLine,
  PromptLine,
  PulledLine,
  RunLine,
  SampleLine,
  ScoreEndLine,
  ScoreLine,
  StepLine,
  StudioLine,
  TallyLine,
  TokenEndLine,
  TokenLine,
  TrainedTokenizerLine,
} from "../../src/cli/json.ts";
import type { AttentionLine, ContributionsLine, InspectLine, LensLine, MuteLine, NeuronsLine } from "../../src/cli/json-inspect.ts";
import type { TrainEvent } from "../../src/training/training.ts";

const token = z.strictObject({ id: z.int().min(0), text: z.string() });
const probability = z.number().min(0).max(1);
const count = z.int().min(0);
const category = z.enum([
  "Embedding", "Positions", "Key", "Query", "Value", "Output", "Gate-projection", "Up-projection", "Down-projection", "Biases", "Norms", "Unembedding",
]); // prettier-ignore
const top = z.array(z.strictObject({ id: count, text: z.string(), logit: z.number().nullable(), probability }));

export const promptSchema: z.ZodType<PromptLine> = z.strictObject({
  type: z.literal("prompt"),
  text: z.string(),
  tokens: z.array(token),
  model: z.string(),
  seed: count,
  device: z.string(),
  weights: z.enum(["f32", "f16", "int8", "int4"]).nullable(),
});

export const exportedSchema: z.ZodType<ExportedLine> = z.strictObject({
  type: z.literal("exported"),
  model: z.string(),
  path: z.string(),
  format: z.enum(["gguf", "safetensors"]),
  weights: z.enum(["f32", "f16", "bf16", "q8_0", "q4_0"]),
  bytes: count,
});

export const stepSchema: z.ZodType<StepLine> = z.strictObject({
  type: z.literal("step"),
  index: count,
  id: count,
  text: z.string(),
  probability,
  logprob: z.number().max(0),
  rank: z.int().min(1),
  sampledFrom: probability,
  top,
  rest: probability,
  dropped: z.array(token).nonempty().optional(),
});

export const trainedTokenizerSchema: z.ZodType<TrainedTokenizerLine> = z.strictObject({
  type: z.literal("tokenizer"),
  path: z.string(),
  vocabulary: z.int().min(256),
  special: z.array(z.string()),
  merges: count,
  lastCount: count,
  pattern: z.enum(["gpt2", "cl100k"]),
  bytes: count,
  invalidBytes: count,
  pieces: count,
  distinctPieces: count,
  textTokens: count,
  seconds: z.number().min(0),
});

export const generateEndSchema: z.ZodType<GenerateEndLine> = z.strictObject({
  type: z.literal("end"),
  reason: z.enum(["length", "stop", "end-of-text", "context-full", "aborted"]),
  text: z.string(),
  tokens: count,
  seconds: z.number().min(0),
  tokensPerSecond: z.number().min(0),
  promptTokens: count,
  promptSeconds: z.number().min(0),
});

export const scoreSchema: z.ZodType<ScoreLine> = z.strictObject({
  type: z.literal("score"),
  index: count,
  id: count,
  text: z.string(),
  probability: probability.nullable(),
  logprob: z.number().max(0).nullable(),
  rank: z.int().min(1).nullable(),
  top,
  rest: probability.nullable(),
});

export const compareSchema: z.ZodType<CompareLine> = z.strictObject({
  type: z.literal("compare"),
  weights: z.string(),
  with: z.string(),
  positions: count,
  divergence: z.number().min(0).nullable(),
  mostDivergence: z.number().min(0).nullable(),
  sameTop: probability.nullable(),
  perplexity: z.number().min(1).nullable(),
  perplexityWith: z.number().min(1).nullable(),
});

export const scoreEndSchema: z.ZodType<ScoreEndLine> = z.strictObject({
  type: z.literal("end"),
  reason: z.enum(["done", "aborted"]),
  tokens: count,
  scored: count,
  loss: z.number().nullable(),
  perplexity: z.number().min(1).nullable(),
  bitsPerByte: z.number().nullable(),
  seconds: z.number().min(0),
});

const id = { id: count, text: z.string() };
const followed = z.strictObject({ ...id, probability, rank: z.int().min(1) });
const candidates = z.array(z.strictObject({ ...id, logit: z.number(), probability }));
const pushed = z.array(z.strictObject({ ...id, amount: z.number() }));
const square = z.array(z.array(z.number().min(0)));
export const inspectSchema: z.ZodType<InspectLine> = z.strictObject({
  type: z.literal("inspect"),
  text: z.string(),
  tokens: z.array(token).nonempty(),
  model: z.string(),
  device: z.string(),
  weights: z.enum(["f32", "f16", "int8", "int4"]).nullable(),
});
export const lensSchema: z.ZodType<LensLine> = z.strictObject({
  type: z.literal("lens"),
  position: count,
  stage: z.string().regex(/^blocks\.\d+\.hook_resid_(pre|mid|post)$/),
  layer: count,
  point: z.enum(["pre", "mid", "post"]),
  top: candidates.nonempty(),
  final: followed,
  target: followed.nullable(),
});
export const contributionsSchema: z.ZodType<ContributionsLine> = z.strictObject({
  type: z.literal("contributions"),
  position: count,
  target: token,
  logit: z.number(),
  relative: z.boolean(),
  pushes: z.array(
    z.strictObject({
      kind: z.enum(["embedding", "positions", "head", "attention-bias", "mlp", "norm-bias"]),
      layer: count.nullable(),
      head: count.nullable(),
      amount: z.number(),
    }),
  ),
});
export const attentionSchema: z.ZodType<AttentionLine> = z.strictObject({
  type: z.literal("attention"),
  layer: count,
  head: count,
  pattern: square,
  weighted: square,
});
export const neuronsSchema: z.ZodType<NeuronsLine> = z.strictObject({
  type: z.literal("neurons"),
  layer: count,
  position: count,
  neurons: z.array(z.strictObject({ index: count, activation: z.number(), strength: z.number().min(0), promotes: pushed, suppresses: pushed })),
});
export const muteSchema: z.ZodType<MuteLine> = z.strictObject({
  type: z.literal("mute"),
  position: count,
  muted: z.array(z.string()).nonempty(),
  before: candidates,
  after: candidates,
  divergence: z.number().min(0).nullable(),
});

export const tokenSchema: z.ZodType<TokenLine> = z.strictObject({
  type: z.literal("token"),
  index: count,
  id: count,
  text: z.string(),
  bytes: z.string().regex(/^([0-9a-f]{2})*$/),
  special: z.boolean(),
});
export const tokenEndSchema: z.ZodType<TokenEndLine> = z.strictObject({ type: z.literal("end"), tokens: count, characters: count, bytes: count });
export const mergesSchema: z.ZodType<MergesLine> = z.strictObject({
  type: z.literal("merges"),
  index: count,
  steps: z.array(z.strictObject({ pieces: z.array(z.string()), at: z.int().min(-1), rank: z.int().min(-1) })),
});

export const tallySchema: z.ZodType<TallyLine> = z.strictObject({
  type: z.literal("tally"),
  model: z.string(),
  rule: z.enum(["video", "exact"]),
  rows: z.array(z.strictObject({ category, formula: z.string(), numbers: z.string(), weights: count, matrices: count })),
  weights: count,
  matrices: count,
  stored: count.optional(),
});

export const modelSchema: z.ZodType<ModelLine> = z.strictObject({
  type: z.literal("model"),
  name: z.string(),
  source: z.enum(["embedded", "cache", "nearby"]),
  folder: z.string(),
  bytes: count,
  architecture: z.string().nullable(),
  loadable: z.boolean(),
  why: z.string(),
});

export const deviceSchema: z.ZodType<DeviceLine> = z.strictObject({
  type: z.literal("device"),
  name: z.enum(["native", "wasm", "reference"]),
  available: z.boolean(),
  picked: z.boolean(),
  why: z.string(),
  summary: z.string(),
  threads: count,
  instructionSets: z.array(z.string()),
  gigaflops: z.number().positive().nullable(),
  gigabytesPerSecond: z.number().positive().nullable(),
});

const loss = z.number().min(0);
export const runSchema: z.ZodType<RunLine> = z.strictObject({
  type: z.literal("run"),
  out: z.string(),
  architecture: z.string(),
  layers: count,
  heads: count,
  width: count,
  context: count,
  vocabulary: count,
  weights: count,
  trainTokens: count,
  validationTokens: count,
  tokensPerStep: count,
  steps: count,
  from: count,
  device: z.string(),
  seed: count,
});
export const trainEventSchema: z.ZodType<TrainEvent> = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("step"),
    step: count,
    steps: count,
    loss,
    learningRate: loss,
    gradientNorm: loss,
    tokens: count,
    seconds: loss,
  }),
  z.strictObject({ type: z.literal("evaluation"), step: count, validationLoss: loss, trainLoss: loss, best: z.boolean() }),
  z.strictObject({ type: z.literal("saved"), step: count, best: z.boolean(), seconds: loss }),
  z.strictObject({ type: z.literal("warning"), step: count, message: z.string() }),
  z.strictObject({ type: z.literal("end"), reason: z.enum(["done", "aborted"]), step: count, tokens: count, seconds: loss }),
]);
export const sampleSchema: z.ZodType<SampleLine> = z.strictObject({
  type: z.literal("sample"),
  step: count,
  prompt: z.string(),
  text: z.string(),
  tokens: count,
  reason: z.enum(["length", "stop", "end-of-text", "context-full", "aborted"]),
  last: stepSchema.nullable(),
});
export const evaluationSchema: z.ZodType<EvaluationLine> = z.strictObject({
  type: z.literal("evaluation"),
  model: z.string(),
  files: count,
  tokens: count,
  loss: loss.nullable(),
  perplexity: z.number().min(1).nullable(),
  accuracy: probability,
  bytes: count,
  characters: count,
  bitsPerByte: loss.nullable(),
  bitsPerCharacter: loss.nullable(),
  context: count,
  stride: count,
  seconds: loss,
  tokensPerSecond: loss,
});

export const pulledSchema: z.ZodType<PulledLine> = z.strictObject({
  type: z.literal("pulled"),
  id: z.string(),
  folder: z.string(),
  commit: z.string(),
  bytes: count,
  files: z.strictObject({ fetched: count, total: count }),
});

/** The lines of a JSON Lines text; throws where one is no JSON. */
export function linesOf(text: string): Record<string, unknown>[] {
  if (!text.endsWith("\n")) throw new Error("the last line is not ended");
  return text.slice(0, -1).split("\n").map((line) => JSON.parse(line) as Record<string, unknown>); // prettier-ignore
}

export const studioSchema: z.ZodType<StudioLine> = z.strictObject({ type: z.literal("studio"), address: z.url() });
