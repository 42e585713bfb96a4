/**
 * A small tokenizer.json in the style of Llama's for tests: learned here from a few sentences, all 256 byte tokens, "▁" for spaces.
 */
import { byteToken } from "./symbols.ts";

const sentences =
  "Once upon a time there was a little girl. The girl lived in the town and the sun was shining over the town all the time. " +
  "Жила-была девочка, и девочка жила в городе. 東京は日本の首都です。東京の東。 (a + b) * (a - b) = aa - bb; there there, then and there";

export interface LlamaStyle {
  readonly normalizer?: unknown;
  readonly preTokenizer?: unknown;
  readonly decoder?: unknown;
  readonly byteFallback?: boolean;
  readonly fuseUnknown?: boolean;
  readonly merges?: number;
}

/** Parts left out are Llama 2's own. */
export function llamaTokenizerJson(style: LlamaStyle = {}): Record<string, unknown> {
  const { byteFallback = true, fuseUnknown = true } = style;
  const { pieces, merges } = learn(sentences.replaceAll(" ", "▁"), style.merges ?? 110);
  const bytes = byteFallback ? Array.from({ length: 256 }, (_, byte) => byteToken(byte)) : [];
  const vocab = Object.fromEntries(["<unk>", "<s>", "</s>", ...bytes, ...pieces].map((piece, id) => [piece, id]));
  return {
    version: "1.0",
    added_tokens: [special("<unk>", 0), special("<s>", 1), special("</s>", 2)],
    normalizer:
      style.normalizer === undefined
        ? {
            type: "Sequence",
            normalizers: [
              { type: "Prepend", prepend: "▁" },
              { type: "Replace", pattern: { String: " " }, content: "▁" },
            ],
          }
        : style.normalizer,
    pre_tokenizer: style.preTokenizer ?? null,
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [],
      special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
    },
    decoder: style.decoder ?? {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: { type: "BPE", unk_token: "<unk>", fuse_unk: fuseUnknown, byte_fallback: byteFallback, ignore_merges: false, vocab, merges },
  };
}

function special(content: string, id: number): unknown {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
}

/** Byte-pair learning at its plainest: join the most frequent pair, again and again. Never joins across the start of a word. */
function learn(text: string, count: number): { pieces: string[]; merges: string[] } {
  let symbols = [...text];
  const pieces = new Set(symbols);
  const merges: string[] = [];
  while (merges.length < count) {
    const counts = new Map<string, number>();
    for (let i = 0; i + 1 < symbols.length; i++) {
      const pair = `${symbols[i]} ${symbols[i + 1]}`;
      if (!symbols[i + 1].startsWith("▁")) counts.set(pair, (counts.get(pair) ?? 0) + 1);
    }
    if (counts.size === 0) break;
    const [best] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a));
    const [left, right] = best.split(" ");
    merges.push(best);
    pieces.add(left + right);
    const joined: string[] = [];
    for (let i = 0; i < symbols.length; i++) {
      if (symbols[i] === left && symbols[i + 1] === right) joined.push(left + symbols[++i]);
      else joined.push(symbols[i]);
    }
    symbols = joined;
  }
  return { pieces: [...pieces], merges };
}
