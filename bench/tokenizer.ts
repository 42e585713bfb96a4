/**
 * Encoding English with GPT-2's vocabulary on one thread: Vitrine beside tiktoken's wasm port and gpt-tokenizer, after checking that all give the same ids.
 * Every measurement begins with empty caches of known words, so what is measured is text met for the first time.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { clearMergeCache, encode as encodeByGptTokenizer } from "gpt-tokenizer/encoding/r50k_base";
import { get_encoding } from "tiktoken";
import { randomFrom } from "../src/base/random.ts";
import { gpt2Files, reader } from "../src/tokenizer/gpt2.testing.ts";
import { loadTokenizer } from "../src/tokenizer/load.ts";
import { numberOption, root } from "./_machine.ts";
import { compare, comparisonData, type Contender, finish, ratio, showComparison } from "./_report.ts";

export const name = "tokenizer";
export const description = "encoding English with GPT-2's vocabulary, MB/s, against tiktoken's wasm port and gpt-tokenizer (--megabytes N)";

export async function run(): Promise<void> {
  const { text, source } = english(numberOption("megabytes", 6) * 1e6);
  const bytes = Buffer.byteLength(text);
  console.log(`${(bytes / 1e6).toFixed(1)} MB of ${source}, GPT-2's vocabulary, one thread`);

  const files = gpt2Files();
  const fresh = (): ReturnType<typeof loadTokenizer> => loadTokenizer(reader(files));
  const tiktoken = get_encoding("gpt2");
  const ids = (await fresh()).encode(text);
  checkSame("tiktoken", ids, tiktoken.encode_ordinary(text));
  checkSame("gpt-tokenizer", ids, encodeByGptTokenizer(text));
  console.log(`all three give the same ${ids.length.toLocaleString("en-US")} ids`);

  const comparison = await compare(
    [
      contender("vitrine", bytes, async () => {
        const tokenizer = await fresh();
        return () => tokenizer.encode(text);
      }),
      contender("tiktoken (wasm)", bytes, async () => () => tiktoken.encode_ordinary(text)),
      contender("gpt-tokenizer", bytes, async () => {
        clearMergeCache();
        return () => encodeByGptTokenizer(text);
      }),
    ],
    { rounds: 7 },
  );
  tiktoken.free();
  showComparison(comparison, [{ metric: "speed", title: "MB/s" }], "vitrine");
  const [overTiktoken, overGptTokenizer] = ["tiktoken (wasm)", "gpt-tokenizer"].map((peer) => ratio(comparison, "vitrine", peer, "speed"));
  finish(name, { megabytes: bytes / 1e6, source, ids: ids.length, overTiktoken, overGptTokenizer, ...(comparisonData(comparison) as object) });
}

/** `prepare` is not measured. */
function contender(label: string, bytes: number, prepare: () => Promise<() => ArrayLike<number>>): Contender {
  return {
    name: label,
    measure: async () => {
      const encode = await prepare();
      const start = performance.now();
      encode();
      return { speed: bytes / 1000 / (performance.now() - start) };
    },
  };
}

function checkSame(peer: string, ours: readonly number[], theirs: ArrayLike<number>): void {
  const at = ours.findIndex((id, i) => id !== theirs[i]);
  if (at >= 0 || ours.length !== theirs.length) throw new Error(`bench: ${peer} differs at id ${at < 0 ? Math.min(ours.length, theirs.length) : at}`);
}

/** Different books one after the other, or where there are none, made-up words as frequent as words are in English. */
function english(length: number): { text: string; source: string } {
  const books = join(root, "../shared/data/books");
  let text = "";
  for (const shelf of ["classics", "children", "more"]) {
    const folder = join(books, shelf);
    if (!existsSync(folder)) continue;
    for (const file of readdirSync(folder).sort())
      if (text.length < length && file.endsWith(".txt")) text += readFileSync(join(folder, file), "utf8");
  }
  return text === "" ? { text: madeUp(length), source: "made-up words" } : { text: text.slice(0, length), source: "books, each once" };
}

function madeUp(length: number): string {
  const random = randomFrom(1);
  const pick = (choices: string): string => choices[Math.floor(random.next() * choices.length)];
  const syllable = (): string => pick("bcdfghklmnprstvw") + pick("aeiou") + (random.next() < 0.4 ? pick("nrstl") : "");
  const words = Array.from({ length: 40_000 }, (_, rank) => Array.from({ length: Math.floor(Math.log10(rank + 10)) }, syllable).join(""));
  const parts: string[] = [];
  for (let size = 0; size < length;) {
    const word = words[Math.floor(words.length ** random.next()) - 1]; // Zipf: the n-th word in one of n
    const part = word + (random.next() < 0.1 ? ".\n" : " ");
    parts.push(part);
    size += part.length;
  }
  return parts.join("");
}

await run();
