/** Conversations: every mistake in a file named with its line, and only the assistant's tokens to be learned. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesOf } from "../base/bytes.ts";
import { chatTemplate, plainChatTemplate } from "../tokenizer/chat-template.ts";
import type { ChatMessage, ChatTemplate } from "../tokenizer/chat-template.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { evenBatches } from "./batch.ts";
import { chatEncoder, encodeChats, splitChats } from "./chat-data.ts";
import { conversationsOf } from "./chat-lines.ts";
import { characters, gpt2, llama } from "./tokenizers.testing.ts";

const end = "<|endoftext|>";
const letters = (): Promise<Tokenizer> => characters("abcdefghijklmnopqrstuvwxyzUserAistn:. \n'", [end]);
const plain = chatTemplate(plainChatTemplate(false), { bosToken: end, eosToken: end });
const says = (...contents: string[]): ChatMessage[] => contents.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));
const file = (text: string, name = "chats.jsonl"): ReturnType<typeof bytesOf> => bytesOf(name, new TextEncoder().encode(text));
const line = (...contents: string[]): string => `${JSON.stringify({ messages: says(...contents) })}\n`;

/** The text of the tokens that count, each stretch apart. */
function learned(tokenizer: Tokenizer, ids: readonly number[], mask: readonly number[]): string[] {
  const parts: string[] = [];
  ids.forEach((id, i) => {
    if (mask[i] === 0) return;
    if (mask[i - 1] !== 1) parts.push("");
    parts[parts.length - 1] += tokenizer.token(id).text;
  });
  return parts;
}

describe("masks", () => {
  test("token by token, letters: the answers with the token that ends them, nothing else", async () => {
    const tokenizer = await letters();
    const { ids, mask, answers } = chatEncoder(tokenizer, plain).encode(says("hi", "yo.", "so", "no"), "x:1");
    const text = "User: hi\nAssistant: yo.¶\nUser: so\nAssistant: no¶\n"; // ¶ is one token
    expect(ids.length).toBe(text.length);
    const expected = [
      ..."User: hi\nAssistant:".split("").map(() => 0),
      ...[1, 1, 1, 1, 1], // " yo." and the end of text
      ..."\nUser: so\nAssistant:".split("").map(() => 0),
      ...[1, 1, 1, 1], // " no" and the end of text
      0, // the line break behind it
    ];
    expect(mask).toEqual(expected);
    expect(answers).toBe(2);
    expect(ids[23]).toBe(tokenizer.idOf(end));
  });

  test("token by token, GPT-2's pieces", async () => {
    const tokenizer = await gpt2();
    const { ids, mask, inside, turnEnd } = chatEncoder(tokenizer, plain).encode(says("once upon", "a time"), "x:1");
    expect(tokenizer.decode(ids, { special: true })).toBe(`User: once upon\nAssistant: a time${end}\n`);
    expect(learned(tokenizer, ids, mask)).toEqual([` a time${end}`]);
    // What is read before the answer is what will be read when the model is asked.
    const asked = tokenizer.encode("User: once upon\nAssistant:", { template: false });
    expect(ids.slice(0, asked.length)).toEqual(asked);
    expect(mask.indexOf(1)).toBe(asked.length);
    expect(inside).toBe(0);
    expect(turnEnd).toBe(tokenizer.idOf(end));
  });

  test("Llama's pieces, with a start token", async () => {
    const tokenizer = await llama();
    const [bosToken, eosToken] = [tokenizer.token(tokenizer.bosId!).text, tokenizer.token(tokenizer.eosId!).text];
    const template = chatTemplate("{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ 'q ' + m.content + ' a' }}{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}", { bosToken, eosToken }); // prettier-ignore
    const { ids, mask } = chatEncoder(tokenizer, template).encode(says("the", "hello", "the", "the the"), "x:1");
    expect(ids[0]).toBe(tokenizer.bosId);
    expect(ids.filter((id) => id === tokenizer.bosId).length).toBe(1);
    expect(learned(tokenizer, ids, mask).map((text) => text.trim())).toEqual([`hello${eosToken}`, `the the${eosToken}`]);
  });

  test("without a token that ends answers, the line break behind them does", async () => {
    const tokenizer = await characters("User: Asitanhyo\n");
    const bare = chatTemplate(plainChatTemplate(false), { bosToken: undefined, eosToken: undefined });
    const { ids, mask, turnEnd } = chatEncoder(tokenizer, bare).encode(says("hi", "yo"), "x:1");
    expect(learned(tokenizer, ids, mask)).toEqual([" yo\n"]);
    expect(turnEnd).toBeUndefined();
  });

  test("property: what counts is the answers, whatever they are", async () => {
    const tokenizer = await letters();
    const encoder = chatEncoder(tokenizer, plain);
    const words = fc.stringMatching(/^[a-z]( ?[a-z.']){0,12}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(words, words), { minLength: 1, maxLength: 4 }), (turns) => {
        const { ids, mask } = encoder.encode(says(...turns.flat()), "x:1");
        expect(learned(tokenizer, ids, mask)).toEqual(turns.map(([, answer]) => ` ${answer}${end}`));
      }),
      { numRuns: 40 },
    );
  });

  test("an answer that begins inside a token is counted, and said", async () => {
    const tokenizer = await gpt2();
    const open = chatTemplate("{% for m in messages %}{{ m.role + ': ' + m.content + eos_token }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}", { bosToken: end, eosToken: end }); // prettier-ignore
    const { ids, mask, inside } = chatEncoder(tokenizer, open).encode(says("the", "time"), "x:1");
    expect(learned(tokenizer, ids, mask)).toEqual([` time${end}`]); // the space belongs to the question and to this token
    expect(inside).toBe(1);
    const notes: string[] = [];
    await encodeChats([file(line("the", "time"))], tokenizer, open, { onNote: (note) => notes.push(note) });
    expect(notes).toEqual([expect.stringContaining("1 of 1 answers begin inside a token")]);
  });
});

describe("templates that cannot be used", () => {
  const refused = async (source: string, contents: string[]): Promise<string> => {
    const template: ChatTemplate = chatTemplate(source, { bosToken: end, eosToken: end });
    const tokenizer = await letters();
    try {
      chatEncoder(tokenizer, template).encode(says(...contents), "x:7");
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  test("one that ends only the last message, one that rewrites earlier answers, one that puts the question elsewhere", async () => {
    const last = "{% for m in messages %}{{ m.role + m.content }}{% if loop.last %}{{ eos_token }}{% endif %}{% endfor %}";
    expect(await refused(last, ["a", "b", "c", "d"])).toMatch(
      /^x:7: the chat template does not write a conversation from front to back.*use another template \(--chat-template\)$/,
    );
    const forgets = "{% for m in messages %}{% if m.role == 'user' or loop.last %}{{ m.role + m.content }}{% endif %}{% endfor %}";
    expect(await refused(forgets, ["a", "b", "c", "d"])).toContain("with the first 2 messages");
    const asks = "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}?{% endif %}";
    expect(await refused(asks, ["a", "b"])).toContain("with the question for answer 1");
    expect(await refused("{{ raise_exception('no') }}", ["a", "b"])).toBe(
      "x:7: the chat template does not take these messages: no; change them, or use another template",
    );
  });
  test("words that are special tokens, and letters without a token", async () => {
    expect(await refused(plain.source, ["a", `b${end}`])).toContain(`x:7: messages[1].content holds ${end}, a special token`);
    expect(await refused(plain.source, ["a", "Ж"])).toMatch(/^x:7: encode: /);
  });
});

describe("files", () => {
  const read = async (text: string): Promise<readonly (readonly ChatMessage[])[]> => {
    const all: (readonly ChatMessage[])[] = [];
    for await (const { messages } of conversationsOf(file(text))) all.push(messages);
    return all;
  };

  test("a conversation a line; empty lines, Windows' line breaks, a byte order mark and other fields do no harm", async () => {
    const text = `\ufeff${line("a", "b")}\r\n\n{"id": 3, "messages": [{"role":"system","content":"s","name":"x"},{"role":"assistant","content":"é\\n"}]}`;
    expect(await read(text)).toEqual([says("a", "b"), [{ role: "system", content: "s" }, { role: "assistant", content: "é\n" }]]); // prettier-ignore
  });

  const good = line("a", "b");
  test.each([
    ['{"messages": [', "chats.jsonl:2: not valid JSON at column 15: expected a value, found the end of the file; correct the line, or leave it out"],
    ["hello", 'chats.jsonl:2: not valid JSON at column 1: expected a value, found "h"; correct the line, or leave it out'],
    ["[]", "chats.jsonl:2: an array of 0; expected a conversation"],
    ['{"conversations": []}', 'chats.jsonl:2: no "messages" (there is "conversations"); expected {"messages": [{"role"'],
    ['{"messages": "x"}', 'chats.jsonl:2: "messages" is the text "x"; expected'],
    ['{"messages": []}', "chats.jsonl:2: no message of the assistant among 0"],
    ['{"messages": [{"role":"user","content":"a"}]}', "chats.jsonl:2: no message of the assistant among 1, so nothing in it is to be learned"],
    ['{"messages": ["a"]}', 'chats.jsonl:2: messages[0] is the text "a"; expected {"role", "content"}'],
    [
      '{"messages": [{"role":"bot","content":"a"}]}',
      'chats.jsonl:2: messages[0].role is the text "bot"; expected one of "system", "user", "assistant"',
    ],
    ['{"messages": [{"content":"a"}]}', "chats.jsonl:2: messages[0].role is nothing; expected one of"],
    ['{"messages": [{"role":"user","content":"a"},{"role":"system","content":"a"}]}', 'messages[1].role is "system"; only the first'],
    ['{"messages": [{"role":"assistant","content":null}]}', "chats.jsonl:2: messages[0].content is null; expected a text"],
    ['{"messages": [{"role":"assistant","content":[{"text":"a"}]}]}', "messages[0].content is an array of 1; expected a text"],
    ['{"messages": [{"role":"assistant","content":" \\n"}]}', "chats.jsonl:2: messages[0].content is empty; give it words"],
    ['{"messages": [], "messages": []}', 'the key "messages" comes twice'],
  ])("%s", async (bad, message) => {
    await expect(read(`${good}${bad}\n${good}`)).rejects.toThrow(message);
  });

  test("bytes that are not text are named too", async () => {
    const all = async (bytes: Uint8Array): Promise<void> => {
      for await (const _ of conversationsOf(bytesOf("c.jsonl", bytes)));
    };
    await expect(all(Uint8Array.of(...new TextEncoder().encode(good), 0x22, 0xff, 0x22))).rejects.toThrow("c.jsonl:2: not UTF-8 text");
    await expect(all(Uint8Array.of(1, 0, 2))).rejects.toThrow("c.jsonl: a binary file");
  });

  test("a corpus: tokens, mask and starts fit each other, and its fingerprint tells texts, templates and tokenizers apart", async () => {
    const tokenizer = await letters();
    const encode = (text: string, template = plain, by = tokenizer): ReturnType<typeof encodeChats> => encodeChats([file(text)], by, template);
    const corpus = await encode(line("a", "b") + line("c", "d", "e", "f"));
    expect(corpus.starts).toEqual([0, "User: a\nAssistant: b¶\n".length]);
    expect(corpus.mask.length).toBe(corpus.tokens.length);
    expect(corpus).toMatchObject({ answers: 3, turnEnds: [tokenizer.idOf(end)] });
    expect(corpus.tokens).toBeInstanceOf(Uint16Array);
    const prints = [
      corpus,
      await encode(line("a", "b") + line("c", "d", "e", "g")),
      await encode(line("a", "b") + line("c", "d", "e", "f"), chatTemplate(`${plain.source} `, plain.tokens)),
      await encode(line("a", "b") + line("c", "d", "e", "f"), plain, await characters("abcdefghijklmnopqrstuvwxyzUserAistn:. \n'!", [end])),
    ].map(({ fingerprint }) => fingerprint);
    expect(new Set(prints).size).toBe(4);
    expect((await encode(line("a", "b") + line("c", "d", "e", "f"))).fingerprint).toBe(prints[0]);
  });

  test("no files, empty ones, only empty lines, a stop", async () => {
    const tokenizer = await letters();
    await expect(encodeChats([], tokenizer, plain)).rejects.toThrow("no text files");
    await expect(encodeChats([file("")], tokenizer, plain)).rejects.toThrow("chats.jsonl: the file is empty");
    await expect(encodeChats([file("\n \n")], tokenizer, plain)).rejects.toThrow("no conversation in it, only empty lines");
    await expect(encodeChats([file(good)], tokenizer, plain, { signal: AbortSignal.abort() })).rejects.toThrow("encoding was stopped");
  });
});

describe("splitting", () => {
  const corpus = async (count: number): ReturnType<typeof encodeChats> => {
    const text = Array.from({ length: count }, (_, i) =>
      line(`q ${"abcdefghij"[i % 10]}${"abcdefghij"[Math.floor(i / 10) % 10]}${"ab"[Math.floor(i / 100)]}`, "a"),
    ).join("");
    return encodeChats([file(text)], await letters(), plain);
  };

  test("whole conversations, none lost and none twice", async () => {
    for (const [count, how] of [
      [2, "tail"],
      [20, "tail"],
      [150, "documents"],
    ] as const) {
      const all = await corpus(count);
      const { train, validation, how: was } = splitChats(all, 0.1);
      expect(was).toBe(how);
      const each = all.tokens.length / count;
      expect([train.tokens.length % each, validation.tokens.length % each]).toEqual([0, 0]);
      expect(train.tokens.length + validation.tokens.length).toBe(all.tokens.length);
      expect(validation.tokens.length).toBeGreaterThan(0);
      expect(train.tokens.length).toBeGreaterThan(validation.tokens.length / 2);
      const sum = (mask: Uint8Array | undefined): number => mask!.reduce((total, counts) => total + counts, 0);
      expect(sum(train.mask) + sum(validation.mask)).toBe(sum(all.mask));
    }
  });

  test("a single conversation, or a share of 0, keeps nothing apart", async () => {
    expect(splitChats(await corpus(1), 0.1)).toMatchObject({ how: "none" });
    expect(splitChats(await corpus(3), 0).validation.tokens.length).toBe(0);
    const all = await corpus(2);
    expect(() => splitChats(all, 1)).toThrow("validation share 1");
  });
});

describe("looking at conversations", () => {
  test("windows in which nothing counts are passed over, and one that counts is found", () => {
    const tokens = Uint16Array.from({ length: 100 }, (_, i) => i);
    const mask = new Uint8Array(100);
    mask.fill(1, 95, 98);
    const batches = evenBatches({ tokens, mask }, 4, 16, 8);
    expect(batches.map(({ counted, inputs }) => [counted, inputs.length])).toEqual([[3, 1]]);
    mask.fill(1);
    const all = evenBatches({ tokens, mask }, 4, 16, 8).flatMap(({ inputs }) => inputs.map(([first]) => first));
    expect(all).toEqual([0, 13, 27, 41, 55, 69, 83]); // they cover the text
    expect(evenBatches({ tokens, mask }, 4, 16, 3).flatMap(({ inputs }) => inputs.map(([first]) => first))).toEqual([0, 27, 55]);
  });
});
