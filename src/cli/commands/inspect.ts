/**
 * `vitrine inspect`: looks inside a model while it reads a text. What is found is src/inspection/'s, how it looks inspect-view.ts's.
 */
import { basename, dirname } from "node:path";
import { Command, Option } from "commander";
import { quoted, VitrineError } from "../../base/errors.ts";
import type { Engine } from "../../engine/engine.ts";
import type { LocalEngine } from "../../engine/local.ts";
import { promptIds } from "../../engine/prompt.ts";
import { distributionOf } from "../../generation/distribution.ts";
import { divergence } from "../../generation/divergence.ts";
import { nodeFolderWriter } from "../../host/node-files.ts";
import { headStages } from "../../inspection/attention.ts";
import { checkPlace, checkToken, positionIn } from "../../inspection/capture.ts";
import { contributions } from "../../inspection/contributions.ts";
import { forwardWith } from "../../inspection/edits.ts";
import type { Edit, Lens } from "../../inspection/inspection.ts";
import { logitLens } from "../../inspection/lens.ts";
import { neurons } from "../../inspection/neurons.ts";
import { attentionSvg } from "../attention-svg.ts";
import { interrupted } from "../errors.ts";
import { attentionLines, contributionLines, lensColumn, lensFits, lensGrid, muteLines, neuronLines } from "../inspect-view.ts";
import type { View } from "../inspect-view.ts";
import { attentionLine, contributionsLine, inspectLine, lensLines, muteLine, neuronsLine } from "../json-inspect.ts";
import type { Muted } from "../json-inspect.ts";
import { openEngine } from "../opening.ts";
import { addFileFlag, addModelFlags, numberIn } from "../options.ts";
import type { ModelFlags, TextFlags } from "../options.ts";
import { givenText } from "../session.ts";
import type { Run, Session } from "../session.ts";
import { tokenLabel } from "../visible.ts";

interface HeadName {
  readonly layer: number;
  readonly head: number;
}

interface InspectFlags extends ModelFlags, TextFlags {
  readonly lens?: boolean;
  readonly attention?: HeadName;
  /** true: the favourite's. */
  readonly contributions?: string | true;
  readonly absolute?: boolean;
  readonly neurons?: number;
  readonly mute?: readonly NamedEdit[];
  readonly position?: number;
  readonly top?: number;
  readonly svg?: string;
  readonly json?: boolean;
}

interface NamedEdit {
  readonly name: string;
  readonly edit: Edit;
}

const examples = `
Examples:
  vitrine inspect "Once upon a time"             how the next word came about
  vitrine inspect "Once upon a time" --lens      what every layer would say
  vitrine inspect "Once upon a time" --contributions " there"
  vitrine inspect "Once upon a time" --attention 1.3 --svg head.svg
  vitrine inspect "Once upon a time" --neurons 2 --position -1
  vitrine inspect "Once upon a time" --mute 0.3,1.2,mlp2,attn4

Layers, heads and positions count from 0; position -1 is the last one.
stages: the stream after the embedding, each attention (attn) and each MLP, read by
the model's own last norm and unembedding (logit lens, nostalgebraist 2020).
pushes: the logit as a sum over everything written into the stream. looks: the
attention weights; gives: weighted by the length of what is looked at.`;

/** `vitrine inspect` with its flags and help. */
export function inspectCommand(run: Run): Command {
  const whole = (flag: string, least?: number, most?: number): ((text: string) => number) => numberIn(flag, { least, most, whole: true });
  const command = new Command("inspect")
    .summary("look inside a model while it reads")
    .description(
      "Shows how a prediction comes about: what each layer would say, which heads and\nMLPs push a word, where attention looks, what happens without a part.",
    )
    .argument("[prompt...]", "the text");
  return addModelFlags(addFileFlag(command, "the text"))
    .option("--lens", "what every stage would predict, at the last positions that fit")
    .addOption(new Option("--attention <layer.head>", "the attention pattern of a head").argParser(readHead))
    .addOption(new Option("--contributions [token]", "who pushes the logit of a token (default: the model's favourite)"))
    .option("--absolute", "with --contributions: the logit itself, not relative to the average token")
    .addOption(new Option("--neurons <layer>", "the neurons of an MLP that write most").argParser(whole("--neurons", 0)))
    .addOption(new Option("--mute <parts>", "the prediction without some heads (L.H), MLPs (mlpL) or attention layers (attnL)").argParser(readParts))
    .addOption(new Option("--position <n>", "look at this position (default: -1, the last)").argParser(whole("--position")))
    .addOption(new Option("--top <n>", "how many rows (default: 10)").argParser(whole("--top", 1, 1000)))
    .addOption(new Option("--svg <file>", "with --attention: also as a picture"))
    .option("--json", "JSON Lines (docs/json.md)")
    .addHelpText("after", examples)
    .action((words: string[], flags: InspectFlags) => run((session) => inspect(session, words, flags)));
}

function readHead(text: string): HeadName {
  const match = /^(\d+)\.(\d+)$/.exec(text);
  if (match) return { layer: Number(match[1]), head: Number(match[2]) };
  throw new VitrineError(`--attention is ${quoted(text)}; expected LAYER.HEAD, both from 0, for example 1.3`);
}

function readParts(text: string): NamedEdit[] {
  return text.split(",").map((part) => {
    const name = part.trim();
    const match = /^(?:(\d+)\.(\d+)|(mlp|attn)(\d+))$/i.exec(name);
    if (!match) throw new VitrineError(`--mute is ${quoted(text)}; expected parts with commas between them: 0.3 (a head), mlp2 or attn4`);
    const [, layer, head, kind, whole] = match;
    if (kind === undefined) return { name, edit: { kind: "head", layer: Number(layer), head: Number(head), scale: 0 } };
    return { name, edit: { kind: kind.toLowerCase() === "mlp" ? "mlp" : "attention", layer: Number(whole), scale: 0 } };
  });
}

async function inspect(session: Session, words: readonly string[], flags: InspectFlags): Promise<number> {
  if (flags.svg !== undefined && flags.attention === undefined)
    throw new VitrineError(`--svg ${quoted(flags.svg)}: of which head? add --attention LAYER.HEAD`);
  const text = (await givenText(session, words, flags.file)) ?? "";
  if (session.stop.aborted) return session.isInterrupted() ? interrupted : 0;
  const engine = await openEngine(session, flags);
  try {
    const look = await lookOf(session, engine, text, flags);
    await look.say([], inspectLine(text, look.ids, engine.info, engine.tokenizer));
    const asked = [flags.lens, flags.attention, flags.contributions, flags.neurons, flags.mute].some((flag) => flag !== undefined);
    for (const show of asked ? views(flags) : [showColumn, showPushes]) {
      session.stop.throwIfAborted();
      await show(look, flags);
    }
    return session.isInterrupted() ? interrupted : 0;
  } finally {
    engine.dispose();
  }
}

/** What all views share. */
interface Look extends View {
  readonly session: Session;
  readonly engine: LocalEngine;
  readonly position: number;
  /** The token that --contributions names. */
  readonly target: number | undefined;
  readonly top: number;
  /** Lines for people, or objects for programs. */
  say(lines: readonly string[], ...objects: readonly object[]): Promise<void>;
}

async function lookOf(session: Session, engine: Engine, text: string, flags: InspectFlags): Promise<Look> {
  if (!isLocal(engine)) throw new VitrineError(`${engine.info.name} cannot be looked into: its weights are elsewhere; use a local model`);
  const { tokenizer, model } = engine;
  const { out } = session;
  const { ids, note } = promptIds(tokenizer, text, model.config.bosId);
  if (note !== undefined) await session.hint(note);
  if (ids.length > model.config.contextLength)
    throw new VitrineError(`${ids.length} tokens, and ${engine.info.name} has only ${model.config.contextLength} positions; give a shorter text`);
  checkParts(engine, flags); // before anything is printed
  const target = typeof flags.contributions === "string" ? tokenNamed(flags.contributions, engine) : undefined;
  let shown = 0;
  return {
    session,
    engine,
    tokenizer,
    terminal: out.terminal,
    ids,
    position: positionIn(ids, flags.position),
    target,
    top: flags.top ?? 10,
    say: async (lines, ...objects) => {
      if (flags.json) for (const object of objects) await out.line(JSON.stringify(object));
      else if (lines.length > 0) await out.write(`${shown++ > 0 ? "\n" : ""}${lines.join("\n")}\n`);
    },
  };
}

/** Throws VitrineError for layers and heads that the model does not have. */
function checkParts({ model }: LocalEngine, { attention, neurons: layer, mute = [] }: InspectFlags): void {
  if (attention) checkPlace(model, attention.layer, attention.head);
  if (layer !== undefined) checkPlace(model, layer);
  for (const { edit } of mute) checkPlace(model, edit.layer, edit.kind === "head" ? edit.head : undefined);
}

function isLocal(engine: Engine): engine is LocalEngine {
  return engine.info.capabilities.trace && "model" in engine;
}

type Show = (look: Look, flags: InspectFlags) => Promise<void>;

/** Those that were asked for, in this order. */
function views(flags: InspectFlags): Show[] {
  return [
    ...(flags.lens ? [showGrid] : []),
    ...(flags.contributions === undefined ? [] : [showPushes]),
    ...(flags.attention ? [showAttention] : []),
    ...(flags.neurons === undefined ? [] : [showNeurons]),
    ...(flags.mute ? [showMuted] : []),
  ];
}

async function lensAt({ session, engine, ids, top }: Look, positions: readonly number[]): Promise<Lens> {
  return logitLens(engine.model, ids, { positions, top, signal: session.stop });
}

async function showGrid(look: Look, flags: InspectFlags): Promise<void> {
  const { position, tokenizer, terminal, ids } = look;
  const first = Math.max(0, position + 1 - lensFits(terminal));
  const fitting = Array.from({ length: position + 1 - first }, (_, i) => first + i);
  const all = flags.position === undefined ? [...ids.keys()] : [position];
  const lens = await lensAt(look, flags.json ? all : fitting);
  await look.say(lensGrid(lens, look), ...[...lens.positions.keys()].flatMap((t) => lensLines(lens, t, tokenizer)));
}

async function showColumn(look: Look): Promise<void> {
  const lens = await lensAt(look, [look.position]);
  await look.say(lensColumn(lens, 0, look), ...lensLines(lens, 0, look.tokenizer));
}

async function showPushes(look: Look, { absolute }: InspectFlags): Promise<void> {
  const { engine, ids, position, target, top, tokenizer } = look;
  const found = await contributions(engine.model, ids, { position, target, relative: !absolute });
  await look.say(contributionLines(found, top, look), contributionsLine(found, tokenizer));
}

/** A token by its text, or by its id: `id:262`. */
function tokenNamed(text: string, { tokenizer, model }: LocalEngine): number {
  const named = /^id:(\d+)$/.exec(text);
  if (named) {
    const id = Number(named[1]);
    checkToken(model, id);
    return id;
  }
  const ids = tokenizer.encode(text, { template: false });
  if (ids.length === 1 && tokenizer.token(ids[0]).text === text) return ids[0];
  // SentencePiece puts a space of its own before a text: the piece is looked up, from the end, since single bytes come first.
  for (let id = Math.min(tokenizer.vocabularySize, model.config.vocabularySize) - 1; id >= 0; id--) {
    const token = tokenizer.token(id);
    if (token.text === text && token.bytes.length > 0) return id; // not a hole, not a special one
  }
  const cure = `give one token with its space, for example " the", or id:N (vitrine tokenize shows both); the prompt stands before the flag`;
  throw new VitrineError(`--contributions ${quoted(text)} is ${ids.length} tokens; ${cure}`);
}

async function showAttention(look: Look, { attention, svg }: InspectFlags): Promise<void> {
  const { engine, ids, position, top, tokenizer, session } = look;
  const { layer, head } = attention!;
  const stages = await headStages(engine.model, ids, layer, head);
  await look.say(attentionLines(stages, position, top, look), attentionLine(stages));
  if (svg === undefined) return;
  const labels = ids.map((id) => tokenLabel(tokenizer.token(id), true));
  await nodeFolderWriter(dirname(svg)).write(basename(svg), [new TextEncoder().encode(attentionSvg(stages, labels))]);
  await session.hint(`${svg} is written`);
}

async function showNeurons(look: Look, { neurons: layer }: InspectFlags): Promise<void> {
  const { engine, ids, position, top, tokenizer } = look;
  const found = await neurons(engine.model, ids, layer!, { position, count: top, tokens: 4 });
  await look.say(neuronLines(found, look), neuronsLine(found, tokenizer));
}

async function showMuted(look: Look, { mute }: InspectFlags): Promise<void> {
  const { engine, ids, position, top, tokenizer } = look;
  const read = ids.slice(0, position + 1);
  const predict = async (edits: readonly Edit[]): Promise<Muted["before"] & { readonly logits: Float32Array }> =>
    distributionOf(await forwardWith(engine.model, read, edits));
  const [before, after] = [await predict([]), await predict(mute!.map(({ edit }) => edit))];
  const muted: Muted = { position, names: mute!.map(({ name }) => name), before, after, divergence: divergence(before, after) };
  await look.say(muteLines(muted, top, look), muteLine(muted, top, tokenizer));
}
