/**
 * What fine-tuning did to a model: the same prompts and texts asked before and after. Here it is measured; finetune-view.ts draws it.
 */
import { VitrineError } from "../base/errors.ts";
import type { LocalEngine } from "../engine/local.ts";
import type { ChatTemplate } from "../tokenizer/chat-template.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { evaluate } from "../training/evaluate.ts";
import type { TokenArray, TokenData } from "../training/token-list.ts";

/** A prompt as the model reads it. */
export interface Question {
  /** As a person says it. */
  readonly prompt: string;
  readonly ids: readonly number[];
}

/** What a model would say to a question. */
export interface Outlook {
  /** The likeliest next tokens, best first. */
  readonly top: readonly { readonly id: number; readonly text: string; readonly probability: number }[];
  /** Probability that is not in `top`. */
  readonly rest: number;
  /** Continuations: always the likeliest token; and drawn. */
  readonly greedy: string;
  readonly sampled: string;
}

export interface TextLoss {
  readonly text: "new" | "old";
  /** Predicted. */
  readonly tokens: number;
  /** Mean -ln p, in nats. */
  readonly loss: number;
}

/** A model at one moment. */
export interface Snapshot {
  readonly outlooks: readonly Outlook[];
  readonly losses: readonly TextLoss[];
}

/** One line of `--json`, and report.json. */
export interface FinetuneReport {
  readonly type: "report";
  readonly model: string;
  readonly out: string;
  readonly steps: number;
  readonly prompts: readonly { readonly prompt: string; readonly before: Outlook; readonly after: Outlook }[];
  /** Of `sampled`. */
  readonly temperature: number;
  readonly seed: number;
  readonly losses: readonly { readonly text: "new" | "old"; readonly tokens: number; readonly before: number; readonly after: number }[];
}

export const temperature = 0.8;
const candidates = 10;
/** Tokens of a text that are read for its loss: a few seconds' work for a small model, a minute's for GPT-2. */
const tokensRead = 16_384;

const textPrompts: readonly string[] = ["Once upon a time", "I want to", "The"];
const chatPrompts: readonly string[] = ["Hello!", "Who are you?", "Tell me a story."];

/**
 * The prompts as questions. Of chats each is what the user says. Those asked for must have tokens: VitrineError else; of our own, those
 * that have none are left out, and where none has, a text's beginning `start` is taken.
 */
export function questionsOf(
  prompts: readonly string[] | null,
  tokenizer: Tokenizer,
  template: ChatTemplate | undefined,
  start: TokenData,
): Question[] {
  const question = (prompt: string): Question => {
    const ids = template
      ? tokenizer.encode(template.render([{ role: "user", content: prompt }], true), { template: false })
      : tokenizer.encode(prompt);
    if (ids.length === 0) throw new VitrineError(`--report-prompt ${JSON.stringify(prompt)} has no tokens; give it some words`);
    return { prompt, ids };
  };
  if (prompts !== null) return prompts.map(question);
  const known = (template ? chatPrompts : textPrompts).flatMap((prompt) => {
    try {
      return [question(prompt)];
    } catch (error) {
      if (error instanceof VitrineError) return [];
      throw error;
    }
  });
  if (known.length > 0) return known;
  const ids = Array.from(start.tokens.subarray(0, 8));
  return [{ prompt: tokenizer.decode(ids), ids }];
}

export interface SnapshotOptions {
  /** Of each continuation. */
  readonly tokens: number;
  readonly seed: number;
  /** Tokens that end an answer, beside the model's own. */
  readonly turnEnds: readonly number[];
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal: AbortSignal;
}

/** Asks the model as it is now. The same weights give the same. Throws VitrineError when `signal` is aborted. */
export async function takeSnapshot(
  engine: LocalEngine,
  questions: readonly Question[],
  texts: { readonly new: TokenData | undefined; readonly old: TokenData | undefined },
  options: SnapshotOptions,
): Promise<Snapshot> {
  const losses: TextLoss[] = [];
  for (const text of ["new", "old"] as const) {
    const data = texts[text] && beginningOf(texts[text]);
    if (data === undefined) continue;
    const { tokens, loss } = await evaluate(engine.model, data, { onProgress: options.onProgress, signal: options.signal });
    losses.push({ text, tokens, loss });
  }
  const outlooks: Outlook[] = [];
  for (const { ids } of questions) outlooks.push(await outlookOf(engine, ids, options));
  if (options.signal.aborted) throw new VitrineError("the report was stopped", { blame: "work", cause: options.signal.reason });
  return { outlooks, losses };
}

/** Undefined where there is nothing to predict. */
function beginningOf({ tokens, mask }: TokenData): TokenData | undefined {
  const end = Math.min(tokens.length, Math.max(tokensRead, mask === undefined ? 0 : mask.indexOf(1, 1) + 1));
  if (end < 2 || (mask !== undefined && mask.indexOf(1, 1) < 0)) return undefined;
  const cut = tokens.subarray(0, end) as TokenArray;
  return mask ? { tokens: cut, mask: mask.subarray(0, end) } : { tokens: cut };
}

async function outlookOf(engine: LocalEngine, ids: readonly number[], { tokens, seed, turnEnds, signal }: SnapshotOptions): Promise<Outlook> {
  const { tokenizer } = engine;
  const next = await engine.predict(ids);
  const stopIds = stopsOf(engine, turnEnds);
  const write = async (heat: number): Promise<string> => {
    const steps = engine.generate(ids, { maxTokens: tokens, temperature: heat, seed, stopIds, signal });
    for (;;) {
      const step = await steps.next();
      if (step.done) return step.value.text;
    }
  };
  return {
    top: next.top(candidates).map(({ id, probability }) => ({ id, text: tokenizer.token(id).text, probability })),
    rest: next.rest(candidates),
    greedy: await write(0),
    sampled: await write(temperature),
  };
}

/** Where a continuation ends: the model's own ends, its tokenizer's, and those of answers. */
export function stopsOf({ model, tokenizer }: LocalEngine, turnEnds: readonly number[]): number[] {
  return [...new Set([...model.config.eosIds, ...turnEnds, ...(tokenizer.eosId === undefined ? [] : [tokenizer.eosId])])];
}

export function reportOf(
  about: { readonly model: string; readonly out: string; readonly steps: number; readonly seed: number },
  questions: readonly Question[],
  before: Snapshot,
  after: Snapshot,
): FinetuneReport {
  return {
    type: "report",
    ...about,
    temperature,
    prompts: questions.map(({ prompt }, i) => ({ prompt, before: before.outlooks[i], after: after.outlooks[i] })),
    losses: before.losses.map(({ text, tokens, loss }, i) => ({ text, tokens, before: loss, after: after.losses[i].loss })),
  };
}
