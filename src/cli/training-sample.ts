/**
 * What a model writes while it learns: a short text now and then, and the distribution that its last token was drawn from.
 */
import type { Engine, GenerateEnd, Step } from "../engine/engine.ts";
import { drawBars, highlight } from "./bars.ts";
import { stepLine } from "./json.ts";
import type { SampleLine } from "./json.ts";
import { counted, grouped } from "./numbers.ts";
import { chartOf } from "./show.ts";
import type { Terminal } from "./terminal.ts";
import { harmless } from "./visible.ts";
import { foldWords } from "./width.ts";

export interface Sample {
  /** Steps the model has learned for. */
  readonly step: number;
  readonly prompt: string;
  readonly tokens: number;
  /** The text after the prompt. */
  readonly text: string;
  readonly reason: GenerateEnd["reason"];
  /** The last token's; undefined when the text ended at once. */
  readonly last: Step | undefined;
}

export interface SampleOptions {
  readonly tokens: number;
  readonly seed: number;
  readonly signal: AbortSignal;
  /** What the model reads for the prompt, where that is more than its own tokens (a chat template's words). */
  readonly ids?: readonly number[];
  /** Tokens that end the text. Default: the model's own. */
  readonly stopIds?: readonly number[];
}

/** A little below the model's own, as texts are usually drawn. */
const temperature = 0.8;
const candidates = 5;

/** Writes a text with the model as it is after `step` steps. The same weights and seed write the same. */
export async function drawSample(engine: Engine, prompt: string, step: number, options: SampleOptions): Promise<Sample> {
  const { tokens: maxTokens, seed, signal, stopIds } = options;
  const steps = engine.generate(options.ids ?? prompt, { maxTokens, temperature, seed, signal, stopIds });
  let last: Step | undefined;
  for (;;) {
    const next = await steps.next();
    if (next.done) return { step, prompt, tokens: next.value.tokens, text: next.value.text, reason: next.value.reason, last };
    last = next.value;
  }
}

/** A sample as lines: the text, the prompt and the last token standing out, then the last token's candidates. No line reaches the last column. */
export function sampleLines(sample: Sample, { tokenizer, info }: Engine, terminal: Terminal, columns: number): string[] {
  const { paint, unicode, colour } = terminal;
  const { step, last } = sample;
  const ended = sample.reason === "end-of-text" ? ", and the model ended the text" : "";
  const title = foldWords(`after ${counted(step, "step")}: ${grouped(sample.tokens)} tokens at T = ${temperature}${ended}`, columns - 1);
  const prompt = sample.prompt.trim() === "" ? "" : sample.prompt;
  const lastText = last === undefined || ended !== "" || !sample.text.endsWith(last.text) ? "" : last.text;
  const body = sample.text.slice(0, sample.text.length - lastText.length);
  const shown = (text: string): string => harmless(text).replaceAll("\t", " ");
  const isSeen = lastText.trim() !== "";
  const parts: Part[] = [
    { text: shown(prompt), style: (text) => paint.hex("#3b9ccc")(text) },
    { text: prompt === "" ? shown(body).replace(/^\n+/, "") : shown(body), style: (text) => text },
    { text: isSeen && !colour ? `[${shown(lastText)}]` : shown(lastText), style: (text) => (isSeen ? highlight(terminal, text) : text) },
  ];
  const chart =
    last && drawBars(chartOf(last, sample.tokens, candidates, tokenizer, info.vocabularySize, { temperature }, unicode), terminal, columns);
  return ["", ...title.map((text) => paint.dim(text)), ...painted(parts, columns - 1), ...(chart ?? [])];
}

interface Part {
  readonly text: string;
  readonly style: (text: string) => string;
}

/** Several parts as one folded text, each in its own style. */
function painted(parts: readonly Part[], columns: number): string[] {
  const whole = parts.map(({ text }) => text).join("");
  const starts = parts.map((_, i) => parts.slice(0, i).reduce((sum, { text }) => sum + text.length, 0));
  let at = 0;
  return foldWords(whole, columns).map((line, i) => {
    if (i > 0 && whole[at] === "\n") at++; // what the break stands for
    at = Math.max(at, whole.indexOf(line, at));
    const end = at + line.length;
    const text = parts.map(({ text: part, style }, p) => {
      const [from, to] = [Math.max(at, starts[p]), Math.min(end, starts[p] + part.length)];
      return from < to ? style(whole.slice(from, to)) : "";
    });
    at = end;
    return text.join("").trimEnd();
  });
}

/** For `--json` and the log. */
export function sampleLine(sample: Sample, engine: Engine): SampleLine {
  const { step, prompt, text, tokens, reason, last } = sample;
  return { type: "sample", step, prompt, text, tokens, reason, last: last === undefined ? null : stepLine(last, candidates, engine.tokenizer) };
}
