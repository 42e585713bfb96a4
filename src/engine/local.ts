/**
 * An engine that computes: a model and its tokenizer behind the interface of engine.ts. Making both from files is load.ts.
 */
import { VitrineError } from "../base/errors.ts";
import type { MatrixFormat } from "../device/device.ts";
import { distributionOf } from "../generation/distribution.ts";
import { generate } from "../generation/generate.ts";
import { score } from "../generation/score.ts";
import { checkIds, ContextWindow, contextOf } from "../generation/window.ts";
import type { LanguageModel } from "../model/model.ts";
import type { Tally } from "../model/tally.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Engine, ModelInfo } from "./engine.ts";
import { promptIds } from "./prompt.ts";
import { idsWithoutToken } from "./vocabulary.ts";

export interface LocalEngineOptions {
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  /** What the user called it. */
  readonly name: string;
  readonly tally: (rule: Tally["rule"]) => Tally;
  /** How the model's matrices keep their numbers. Default "f32". */
  readonly weights?: MatrixFormat;
  /** Start token for an empty prompt where the tokenizer files name none. Default: the model's own. */
  readonly bosId?: number;
  /** Ids that end generation unless a call names others. Default: the model's own. */
  readonly eosIds?: readonly number[];
  /** Told what was done that nobody asked for, such as starting an empty prompt from the start token. */
  readonly onNote?: (note: string) => void;
  /** Called once, after the model has given its memory back. */
  readonly onDispose?: () => void;
}

/** A local engine also shows its model, for inspection and saving. */
export interface LocalEngine extends Engine {
  readonly model: LanguageModel;
}

/** Everything of Engine, computed here. It owns the model: `dispose` frees both. */
export function localEngine(options: LocalEngineOptions): LocalEngine {
  const { model, tokenizer, tally } = options;
  let disposed = false;
  let banned: readonly number[] | undefined; // found out when first needed: starting fast matters more

  const idsOf = (prompt: string | readonly number[]): readonly number[] => {
    if (disposed) throw new VitrineError(`${options.name}: this model was disposed; load it again`);
    const { ids, note } = promptIds(tokenizer, prompt, options.bosId ?? model.config.bosId);
    if (note !== undefined) options.onNote?.(note);
    checkIds(model, ids);
    return ids;
  };

  return {
    info: infoOf(options),
    model,
    tokenizer,
    tally,
    tokenize: async (text, encoding) => tokenizer.encode(text, encoding).map((id) => tokenizer.token(id)),
    merges: async (text) => tokenizer.merges(text),

    predict: async (prompt, { context } = {}) => {
      const ids = idsOf(prompt);
      const window = new ContextWindow(model, contextOf(model, context));
      try {
        window.push(ids, 0);
        return distributionOf(await window.logits());
      } finally {
        window.dispose();
      }
    },

    generate: async function* (prompt, asked = {}) {
      const ids = idsOf(prompt);
      banned ??= idsWithoutToken(tokenizer, model.config.vocabularySize);
      return yield* generate(model, tokenizer, ids, { ...asked, stopIds: asked.stopIds ?? options.eosIds }, banned);
    },

    score: async function* (prompt, asked) {
      yield* score(model, tokenizer, idsOf(prompt), asked);
    },

    dispose: () => {
      if (disposed) return;
      disposed = true;
      model.dispose();
      options.onDispose?.();
    },
  };
}

function infoOf({ model, name, weights = "f32" }: LocalEngineOptions): ModelInfo {
  const { config } = model;
  return Object.freeze({
    name,
    architecture: config.modelType,
    parameters: model.parameterCount,
    contextLength: config.contextLength,
    vocabularySize: config.vocabularySize,
    layers: config.layers,
    heads: config.heads,
    width: config.width,
    device: model.device.summary,
    weights,
    capabilities: { fullDistribution: true, score: true, trace: true },
  });
}
