/**
 * Chat transcripts as they come in files: JSON Lines, a conversation a line, {"messages": [{"role", "content"}, ...]}.
 * Whoever wrote them was not us: every mistake is told with its file and line. What becomes of them is chat-data.ts's.
 */
import type { ByteSource } from "../base/bytes.ts";
import { decodeUtf8 } from "../base/bytes.ts";
import { FormatError, quoted } from "../base/errors.ts";
import { describe, isJsonObject, parseJson } from "../base/json.ts";
import type { ChatMessage } from "../tokenizer/chat-template.ts";
import { checkIsText } from "./encode.ts";

export interface Conversation {
  /** File and line: "chats.jsonl:12". */
  readonly where: string;
  readonly messages: readonly ChatMessage[];
}

const BLOCK = 1 << 20;
/** A longer line is no conversation. */
const LONGEST = 1 << 24;
const roles: readonly string[] = ["system", "user", "assistant"];
const expected = '{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}';

/** The conversations of a file in its order. `onBytes` sees what is read. Throws FormatError naming the line; empty lines are passed over. */
export async function* conversationsOf(file: ByteSource, onBytes?: (bytes: Uint8Array) => void): AsyncGenerator<Conversation, void> {
  let number = 0;
  for await (const bytes of linesOf(file, onBytes)) {
    const where = `${file.name}:${++number}`;
    const text = decodeUtf8(where, bytes).trim();
    if (text !== "") yield { where, messages: messagesOf(where, text) };
  }
}

async function* linesOf(file: ByteSource, onBytes: ((bytes: Uint8Array) => void) | undefined): AsyncGenerator<Uint8Array, void> {
  let held: Uint8Array[] = [];
  let count = 0;
  const line = (last: Uint8Array): Uint8Array => {
    const whole = new Uint8Array(held.reduce((sum, part) => sum + part.length, last.length));
    let at = 0;
    for (const part of [...held, last]) {
      whole.set(part, at);
      at += part.length;
    }
    held = [];
    count++;
    return whole;
  };
  for (let at = 0; at < file.size; at += BLOCK) {
    const block = await file.read(at, Math.min(at + BLOCK, file.size));
    if (at === 0) checkIsText(file.name, block);
    onBytes?.(block);
    let from = 0;
    for (let end = block.indexOf(0x0a); end >= 0; end = block.indexOf(0x0a, from)) {
      yield line(block.subarray(from, end));
      from = end + 1;
    }
    held.push(block.slice(from));
    if (held.length * BLOCK > LONGEST)
      throw new FormatError(`${file.name}:${count + 1}: the line is longer than ${LONGEST} bytes; expected JSON Lines, a conversation a line`);
  }
  yield line(new Uint8Array(0));
}

function messagesOf(where: string, text: string): ChatMessage[] {
  const json = parsed(where, text);
  if (!isJsonObject(json)) throw new FormatError(`${where}: ${describe(json)}; expected a conversation ${expected}`);
  const { messages } = json;
  if (!Array.isArray(messages)) {
    const keys = Object.keys(json).slice(0, 5).map(quoted).join(", ");
    const found = messages === undefined ? `no "messages"${keys === "" ? "" : ` (there is ${keys})`}` : `"messages" is ${describe(messages)}`;
    throw new FormatError(`${where}: ${found}; expected ${expected}`);
  }
  const list = messages.map((message, i) => messageOf(`${where}: messages[${i}]`, message, i));
  if (!list.some(({ role }) => role === "assistant"))
    throw new FormatError(
      `${where}: no message of the assistant among ${list.length}, so nothing in it is to be learned; add the answer, or leave the line out`,
    );
  return list;
}

function parsed(where: string, text: string): unknown {
  try {
    return parseJson(where, text);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    // A line is one line, and the whole file need not be fetched again for it.
    throw new FormatError(error.message.replace("at line 1, column", "at column").replace(/; [^;]*$/, "; correct the line, or leave it out"), {
      cause: error,
    });
  }
}

function messageOf(where: string, message: unknown, index: number): ChatMessage {
  if (!isJsonObject(message)) throw new FormatError(`${where} is ${describe(message)}; expected {"role", "content"}`);
  const { role, content } = message;
  if (typeof role !== "string" || !roles.includes(role))
    throw new FormatError(`${where}.role is ${describe(role)}; expected one of ${roles.map(quoted).join(", ")}`);
  if (role === "system" && index > 0) throw new FormatError(`${where}.role is "system"; only the first message may be the system's`);
  if (typeof content !== "string") throw new FormatError(`${where}.content is ${describe(content)}; expected a text`);
  if (content.trim() === "") throw new FormatError(`${where}.content is empty; give it words, or leave the message out`);
  return { role, content };
}
