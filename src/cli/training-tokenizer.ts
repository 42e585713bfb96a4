/**
 * The tokenizer of a new run: learned on its texts, their characters, or another model's. It lies in the run's folder from then on.
 * Learning a vocabulary is tokenizer/train.ts's.
 */
import type { ByteSource } from "../base/bytes.ts";
import { tokenizerFilesOf } from "../engine/save.ts";
import { nodeFolderWriter } from "../host/node-files.ts";
import { resolveModel } from "../host/node-models.ts";
import { countOnThreads } from "../host/piece-threads.ts";
import { saveTokenizer } from "../tokenizer/train-files.ts";
import { trainBpe } from "../tokenizer/train.ts";
import { characterTokenizerOf } from "../training/tokens.ts";
import { counted, grouped } from "./numbers.ts";
import { Progress } from "./progress.ts";
import type { Session } from "./session.ts";
import type { TrainPlan } from "./training-plan.ts";

const endOfText = "<|endoftext|>";

/** `texts` are the plan's files, `others` its validation files: a character that only they have needs a token too. */
export async function writeTokenizer(
  session: Session,
  out: string,
  plan: TrainPlan,
  texts: readonly ByteSource[],
  others: readonly ByteSource[],
  threads: number | undefined,
): Promise<void> {
  if (plan.tokenizer === "bpe") return learn(session, out, plan, texts, threads);
  const files =
    plan.tokenizer === "characters" ? await characters([...texts, ...others]) : await tokenizerFilesOf((await resolveModel(plan.tokenizer)).folder);
  const writer = nodeFolderWriter(out);
  for (const [file, content] of Object.entries(files)) await writer.write(file, [new TextEncoder().encode(content)]);
}

async function learn(
  session: Session,
  out: string,
  { files, vocabulary }: TrainPlan,
  texts: readonly ByteSource[],
  threads: number | undefined,
): Promise<void> {
  let phase = "counting";
  let progress = new Progress(session.talk, { title: "counting words", unit: "bytes", after: 500 });
  try {
    const trained = await trainBpe(texts, {
      vocabulary,
      onProgress: (done, total, now) => {
        if (now !== phase) {
          progress.clear();
          progress = new Progress(session.talk, { title: "learning a vocabulary", unit: "tokens", after: 500 });
          phase = now;
        }
        progress.update({ done, total });
      },
      signal: session.stop,
      count: countOnThreads(files, { threads }),
    });
    progress.clear();
    if (trained.tokens.length < vocabulary)
      await session.notice(
        `the vocabulary has ${counted(trained.tokens.length, "token")} instead of ${grouped(vocabulary)}: no two neighbours in the text occur twice any more`,
      );
    await saveTokenizer(trained, nodeFolderWriter(out));
  } finally {
    progress.clear();
  }
}

async function characters(texts: readonly ByteSource[]): Promise<Record<string, string>> {
  const parts = texts.length > 1 || (await contains(texts[0], endOfText)); // a token that never occurs would only be noise
  const config = parts ? { bos_token: endOfText, eos_token: endOfText } : {};
  const json = await characterTokenizerOf(texts, parts ? [endOfText] : []);
  return { "tokenizer.json": json, "tokenizer_config.json": `${JSON.stringify(config, null, 2)}\n` };
}

const block = 2 ** 22;

async function contains(source: ByteSource, text: string): Promise<boolean> {
  for (let at = 0; at < source.size; at += block) {
    const bytes = await source.read(at, Math.min(source.size, at + block + text.length));
    if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(text)) return true;
  }
  return false;
}
