/**
 * From a request to a run of fine-tuning that can begin: the base model on its device, its tokenizer and chat template, the tokens to learn.
 * What is asked for is finetune-plan.ts's, how the run goes on training/trainer.ts's.
 */
import type { ByteSource, Folder } from "../base/bytes.ts";
import { quoted, VitrineError } from "../base/errors.ts";
import { folderTemplate, tokenizerFilesWith } from "../engine/finetuned.ts";
import { loadEngine } from "../engine/load.ts";
import type { LocalEngine } from "../engine/local.ts";
import { isAdapterFolder } from "../formats/peft.ts";
import { textSources } from "../host/text-sources.ts";
import { resolveModel } from "../host/node-models.ts";
import { openDevice } from "../host/node.ts";
import { chatTemplate, plainChatTemplate, templateTokens } from "../tokenizer/chat-template.ts";
import type { ChatTemplate } from "../tokenizer/chat-template.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { encodeChats, splitChats } from "../training/chat-data.ts";
import { startId } from "../training/encode.ts";
import { fingerprint } from "../training/fingerprint.ts";
import { endOfTextId, splitCorpus } from "../training/split.ts";
import type { TokenData } from "../training/token-list.ts";
import { encodeCorpus } from "../training/tokens.ts";
import type { FinetuneRequest } from "./finetune-plan.ts";
import { Progress } from "./progress.ts";
import type { Session } from "./session.ts";

/** Instead of a program: the one of chat-template.ts. */
export const plainTemplate = "plain";

export interface OpenedBase {
  /** The base model; disposing it gives everything back. */
  readonly engine: LocalEngine;
  readonly folder: Folder;
  /** Of chats. */
  readonly template: ChatTemplate | undefined;
  /** The tokenizer's files, the template among them. */
  readonly tokenizerFiles: Readonly<Record<string, string>>;
}

/** Opens the model in full precision. `template` is a program of the user's. Throws VitrineError for an adapter's folder, and as loading does. */
export async function openBase(
  session: Session,
  request: FinetuneRequest,
  flags: { readonly device?: string; readonly threads?: number },
): Promise<OpenedBase> {
  const found = await resolveModel(request.model);
  if (isAdapterFolder(await found.folder.list()))
    throw new VitrineError(
      `${quoted(request.model)} is an adapter, not a model; make one model of both with vitrine merge MODEL ADAPTER --out DIR first`,
    );
  const device = await openDevice({ device: flags.device, threads: flags.threads, onNote: (note) => void session.notice(note) });
  const progress = new Progress(session.talk, { title: "loading the model", unit: "weights" });
  let engine: LocalEngine;
  try {
    engine = await loadEngine(found.folder, device, {
      name: found.name,
      onProgress: (done, total) => progress.update({ done, total }),
      onNote: (note) => {
        progress.clear();
        void session.notice(note);
      },
      signal: session.stop,
      onDispose: () => device.dispose(),
    });
  } catch (error) {
    device.dispose();
    throw error;
  } finally {
    progress.clear();
  }
  try {
    const template = request.kind === "chat" ? await templateOf(session, found.folder, engine.tokenizer, request.template) : undefined;
    const tokenizerFiles = await tokenizerFilesWith(found.folder, template);
    return { engine, folder: found.folder, template, tokenizerFiles };
  } catch (error) {
    engine.dispose();
    throw error;
  }
}

async function templateOf(session: Session, folder: Folder, tokenizer: Tokenizer, own: string | null): Promise<ChatTemplate> {
  const { source, config } = await folderTemplate(folder);
  const tokens = templateTokens(tokenizer, config);
  if (own !== null && own !== plainTemplate) return chatTemplate(own, tokens, "--chat-template");
  if (own === null && source !== undefined) return chatTemplate(source, tokens, `${folder.name}: its chat template`);
  if (own === null)
    await session.notice('the model brings no chat template, so a plain one is used and saved with it: "User: ...", "Assistant: ..."');
  return chatTemplate(plainChatTemplate(startId(tokenizer) !== undefined), tokens);
}

export interface LearnedText {
  readonly train: TokenData;
  readonly validation: TokenData | undefined;
  /** Identity of all that is read, and of the base, for checkpoints: a resume on anything else is refused. */
  readonly data: string;
  readonly turnEnds: readonly number[];
}

/** Reads the texts. Mistakes in them show here, before the first step. */
export async function readTexts(session: Session, request: FinetuneRequest, { engine, template }: OpenedBase): Promise<LearnedText> {
  const { tokenizer } = engine;
  const files = await textSources(request.files);
  const others = "files" in request.validation ? await textSources(request.validation.files) : [];
  const share = "share" in request.validation ? request.validation.share : 0;
  const base = await fingerprintOfModel(engine);
  if (template !== undefined) {
    const chats = await encodedChats(session, files, tokenizer, template);
    const other = others.length > 0 ? await encodedChats(session, others, tokenizer, template) : undefined;
    const split = splitChats(chats, share);
    const validation = other ?? (split.validation.tokens.length > 0 ? split.validation : undefined);
    if (validation === undefined && share > 0) await session.notice("there is a single conversation, so none is kept apart to check on");
    return {
      train: split.train,
      validation,
      data: identity(base, chats, other),
      turnEnds: [...new Set([...chats.turnEnds, ...(other?.turnEnds ?? [])])],
    };
  }
  const corpus = await encodedText(session, files, tokenizer, "reading the text");
  const other = others.length > 0 ? await encodedText(session, others, tokenizer, "reading the validation text") : undefined;
  const split = splitCorpus(corpus, endOfTextId(tokenizer), share);
  const validation = other ?? (split.validation.tokens.length > 0 ? split.validation : undefined);
  return { train: split.train, validation, data: identity(base, corpus, other), turnEnds: [] };
}

interface Read extends TokenData {
  readonly fingerprint: string;
}

function identity(base: string, corpus: Read, other: Read | undefined): string {
  return [base, corpus.fingerprint, ...(other ? [other.fingerprint] : [])].join("+");
}

/** Numbers of each parameter that are looked at: training changes all of them. */
const lookedAt = 1 << 14;

async function fingerprintOfModel({ model }: LocalEngine): Promise<string> {
  const all = fingerprint();
  for await (const { name, values } of model.parameters()) {
    const some = values.subarray(0, lookedAt);
    all.update(new TextEncoder().encode(`${name} ${values.length} `));
    all.update(new Uint8Array(some.buffer, some.byteOffset, some.byteLength));
  }
  return all.digest();
}

/** Plain text as tokens: what is learned, and what is not to be forgotten. */
export async function encodedText(session: Session, files: readonly ByteSource[], tokenizer: Tokenizer, title: string): Promise<Read> {
  return reading(session, title, (options) => encodeCorpus(files, tokenizer, options));
}

function encodedChats(session: Session, files: readonly ByteSource[], tokenizer: Tokenizer, template: ChatTemplate): ReturnType<typeof encodeChats> {
  return reading(session, "reading the conversations", (options) => encodeChats(files, tokenizer, template, options));
}

interface ReadingOptions {
  readonly onProgress: (done: number, total: number) => void;
  readonly onNote: (note: string) => void;
  readonly signal: AbortSignal;
}

async function reading<R>(session: Session, title: string, work: (options: ReadingOptions) => Promise<R>): Promise<R> {
  const progress = new Progress(session.talk, { title, unit: "bytes", after: 500 });
  try {
    return await work({
      onProgress: (done, total) => progress.update({ done, total }),
      onNote: (note) => {
        progress.clear();
        void session.notice(note);
      },
      signal: session.stop,
    });
  } finally {
    progress.clear();
  }
}
