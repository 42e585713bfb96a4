/**
 * Conversations as tokens to learn from: each written out by the chat template, and a mask that says which tokens are the assistant's
 * words. Only those are learned; what the user and the template say is read and not predicted.
 *
 * Where an answer stands is found by writing the conversation up to it, with the words that ask for it, and up to its end: the first must
 * begin the second, and the second, up to the answer's end, the whole. Templates that write a conversation otherwise are refused.
 */
import type { ByteSource } from "../base/bytes.ts";
import { breather } from "../base/breath.ts";
import { quoted, VitrineError } from "../base/errors.ts";
import type { ChatMessage, ChatTemplate } from "../tokenizer/chat-template.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { conversationsOf } from "./chat-lines.ts";
import { checkNotEmpty } from "./encode.ts";
import { fingerprint } from "./fingerprint.ts";
import type { Split } from "./split.ts";
import { TokenList } from "./token-list.ts";
import type { TokenArray, TokenData } from "./token-list.ts";
import { fingerprintOfTokenizer } from "./tokens.ts";

export interface ChatCorpus extends TokenData {
  readonly mask: Uint8Array;
  /** Where each conversation begins among the tokens. */
  readonly starts: readonly number[];
  /** The assistant's messages. */
  readonly answers: number;
  /** The special tokens that end them: what generation stops at. */
  readonly turnEnds: readonly number[];
  readonly textBytes: number;
  /** Of the files, the tokenizer and the template: 32 hexadecimal digits. */
  readonly fingerprint: string;
}

export interface EncodeChatsOptions {
  /** Bytes of the files read so far, of all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** One line for people about something odd but harmless. */
  readonly onNote?: (note: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * All conversations of some JSON Lines files, one behind the other. Throws FormatError, naming file and line, for what is no conversation;
 * VitrineError where template or tokenizer do not take one, for no or empty files, or an aborted `signal`. Sources are not closed.
 */
export async function encodeChats(
  files: readonly ByteSource[],
  tokenizer: Tokenizer,
  template: ChatTemplate,
  { onProgress, onNote, signal }: EncodeChatsOptions = {},
): Promise<ChatCorpus> {
  checkNotEmpty(files);
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const identity = fingerprint();
  identity.update(new TextEncoder().encode(`${JSON.stringify([template.source, template.tokens])} ${fingerprintOfTokenizer(tokenizer)} `));
  const encoder = chatEncoder(tokenizer, template);
  const [tokens, mask] = [new TokenList(tokenizer.vocabularySize), new TokenList(256)];
  const starts: number[] = [];
  const turnEnds = new Set<number>();
  const breathe = breather();
  let [done, answers, inside] = [0, 0, 0];
  for (const file of files) {
    identity.update(new TextEncoder().encode(`${file.size} `));
    const onBytes = (bytes: Uint8Array): void => {
      identity.update(bytes);
      onProgress?.((done += bytes.length), total);
    };
    for await (const { where, messages } of conversationsOf(file, onBytes)) {
      await breathe();
      if (signal?.aborted) throw new VitrineError("encoding was stopped", { blame: "work", cause: signal.reason });
      const encoded = encoder.encode(messages, where);
      starts.push(tokens.length);
      tokens.add(encoded.ids);
      mask.add(encoded.mask);
      answers += encoded.answers;
      if (encoded.turnEnd !== undefined) turnEnds.add(encoded.turnEnd);
      inside += encoded.inside;
    }
  }
  if (starts.length === 0)
    throw new VitrineError(`${files.map(({ name }) => name).join(", ")}: no conversation in it, only empty lines; name another file`);
  if (inside > 0)
    onNote?.(
      `${inside} of ${answers} answers begin inside a token, as the chat template does not end its question where a token ends; the model will answer a little less well than it learns`,
    );
  return {
    tokens: tokens.done(),
    mask: Uint8Array.from(mask.done()),
    starts,
    answers,
    turnEnds: [...turnEnds],
    textBytes: total,
    fingerprint: identity.digest(),
  };
}

export interface EncodedChat {
  readonly ids: readonly number[];
  /** 1 for each id that is the assistant's, the end of its turn included. */
  readonly mask: readonly number[];
  readonly answers: number;
  /** Answers whose first token began before them. */
  readonly inside: number;
  /** The special token that ends an answer; undefined when none does. */
  readonly turnEnd: number | undefined;
}

/** For one conversation after the other. */
export function chatEncoder(tokenizer: Tokenizer, template: ChatTemplate): { encode(messages: readonly ChatMessage[], where: string): EncodedChat } {
  const special = specialTexts(tokenizer);
  const idsOf = (text: string): number[] => tokenizer.encode(text, { template: false });
  return {
    encode: (messages, where) => {
      messages.forEach(({ content }, i) => {
        const stray = special.find((text) => content.includes(text));
        if (stray !== undefined)
          throw new VitrineError(
            `${where}: messages[${i}].content holds ${stray}, a special token of this tokenizer, which would end or begin something; take it out`,
          );
      });
      return told(where, () => {
        const text = template.render(messages);
        const ids = idsOf(text);
        const mask = ids.map(() => 0);
        let [answers, inside] = [0, 0];
        let turnEnd: number | undefined;
        for (const { start, end, mark } of spansOf(messages, template, text, special)) {
          const before = idsOf(text.slice(0, start));
          const from = agreement(before, ids);
          mask.fill(1, from, agreement(idsOf(text.slice(0, end)), ids));
          answers++;
          if (from < before.length) inside++;
          if (mark !== undefined) turnEnd = tokenizer.idOf(mark);
        }
        return { ids, mask, answers, inside, turnEnd };
      });
    },
  };
}

/** Errors of template and tokenizer know nothing of files. */
function told<R>(where: string, work: () => R): R {
  try {
    return work();
  } catch (error) {
    if (error instanceof VitrineError) throw new VitrineError(`${where}: ${error.message}`, { blame: error.blame, cause: error });
    throw error;
  }
}

function specialTexts(tokenizer: Tokenizer): string[] {
  const texts: string[] = [];
  for (let id = 0; id < tokenizer.vocabularySize; id++) {
    const { special, text } = tokenizer.token(id);
    if (special && text !== "") texts.push(text);
  }
  return texts;
}

/** How many ids two texts' beginnings have in common. */
function agreement(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

interface Span {
  readonly start: number;
  readonly end: number;
  /** The special token it ends with. */
  readonly mark: string | undefined;
}

/** Where the assistant's words stand in `text`, the whole conversation as the template writes it. Throws VitrineError when that cannot be said. */
function spansOf(messages: readonly ChatMessage[], template: ChatTemplate, text: string, special: readonly string[]): Span[] {
  const spans: Span[] = [];
  messages.forEach(({ role }, i) => {
    if (role !== "assistant") return;
    const before = template.render(messages.slice(0, i), true);
    const after = template.render(messages.slice(0, i + 1));
    if (!after.startsWith(before)) throw notInOrder(before, after, `with the question for answer ${i}`, "with the answer");
    // A template may break the line after the token that ends a turn; nobody asks the model for that.
    const turn = after.slice(before.length);
    const trimmed = turn.trimEnd();
    const mark = special.find((token) => trimmed.endsWith(token));
    const end = before.length + (mark === undefined ? turn : trimmed).length;
    if (!text.startsWith(after.slice(0, end))) throw notInOrder(after, text, `with the first ${i + 1} messages`, `with all ${messages.length}`);
    spans.push({ start: before.length, end, mark });
  });
  return spans;
}

function notInOrder(a: string, b: string, asA: string, asB: string): VitrineError {
  let at = 0;
  while (a[at] === b[at]) at++;
  const near = (text: string): string => quoted(text.slice(Math.max(0, at - 10), at + 20));
  return new VitrineError(
    `the chat template does not write a conversation from front to back, so which words are the assistant's cannot be said: it writes ${near(a)} ${asA} and ${near(b)} ${asB}; use another template (--chat-template)`,
  );
}

/** From this many conversations on, what they hold decides which are kept apart; of fewer it is the last ones. */
const MANY = 100;

/** Keeps `share` (0 to below 1) of the conversations apart, whole ones, at least one where there are two. */
export function splitChats(corpus: ChatCorpus, share: number): Split {
  if (!(share >= 0 && share < 1)) throw new VitrineError(`validation share ${share}; expected a number from 0 to below 1`);
  const { tokens, starts } = corpus;
  const count = starts.length;
  if (share === 0 || count < 2) return { train: corpus, validation: gather(corpus, () => false), how: "none" };
  const most = Math.min(count - 1, Math.max(1, Math.round(count * share)));
  const tail = (i: number): boolean => i >= count - most;
  const chosen = starts.map((start, i) => isChosen(tokens.subarray(start, starts[i + 1] ?? tokens.length), share));
  const some = chosen.filter(Boolean).length;
  const byContent = count >= MANY && some > 0 && some < count;
  const kept = byContent ? (i: number): boolean => chosen[i] : tail;
  return { train: gather(corpus, (i) => !kept(i)), validation: gather(corpus, kept), how: byContent ? "documents" : "tail" };
}

/** A coin that only the conversation decides. */
function isChosen(ids: TokenArray, share: number): boolean {
  const all = fingerprint();
  all.update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  return parseInt(all.digest().slice(0, 8), 16) < share * 2 ** 32;
}

function gather({ tokens, mask, starts }: ChatCorpus, which: (conversation: number) => boolean): TokenData {
  const spans = starts.map((start, i) => [start, starts[i + 1] ?? tokens.length] as const).filter((_, i) => which(i));
  const length = spans.reduce((sum, [start, end]) => sum + end - start, 0);
  const into = tokens instanceof Uint16Array ? new Uint16Array(length) : new Uint32Array(length);
  const intoMask = new Uint8Array(length);
  let at = 0;
  for (const [start, end] of spans) {
    into.set(tokens.subarray(start, end), at);
    intoMask.set(mask.subarray(start, end), at);
    at += end - start;
  }
  return { tokens: into, mask: intoMask };
}
