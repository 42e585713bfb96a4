/** Where the numbers of the panel come from, for the why card: counts, ids, bytes. */
import type { Tokenized } from "../../engine/protocol.ts";
import { nodeCommand } from "../../parts/node-command.ts";
import { shellWord, visible, whole } from "../../state/format.ts";
import type { Why } from "../../state/why.ts";
import type { Cut } from "./cutting.svelte.ts";
import { t } from "./messages.ts";
import type { Beside } from "./table.svelte.ts";
import { hex, lengthOf, markBits } from "./utf8.ts";
import type { Part } from "./utf8.ts";
import type { Word } from "./words.ts";

const opening = (model: string): string => `const model = await loadModel(${JSON.stringify(model)});`;
const tokens = ({ text }: Cut): string => `const tokens = await model.tokenize(${JSON.stringify(text)});`;

/** By the library, and as the command prints it among all it says of the text. */
function told(cut: Cut, value: string): NonNullable<Why["code"]> {
  const command = `vitrine tokenize ${shellWord(cut.text)} --model ${shellWord(cut.model)} --json`;
  return { library: `${opening(cut.model)}\n${tokens(cut)}\n${value};`, command };
}

/** What no command prints as it stands. */
function computed(cut: Cut, value: string): NonNullable<Why["code"]> {
  const calls = [opening(cut.model), tokens(cut)];
  return { library: [...calls, `${value};`].join("\n"), command: nodeCommand("loadModel", calls, value) };
}

export type Count = "tokens" | "characters" | "bytes" | "words" | "perToken";

export function countWhy(count: Count, cut: Cut, value: number): Why {
  const text = JSON.stringify(cut.text);
  const shared = { provenance: "derived", operands: [{ symbol: "n", name: t("opTokens"), value: whole(cut.count) }] } as const;
  switch (count) {
    case "tokens":
      return { ...shared, key: "count-tokens", title: t("countTokens"), value: whole(value), story: t("whyCount"), code: told(cut, "tokens.length") };
    case "characters":
      return {
        ...shared,
        key: "count-characters",
        title: t("countCharacters"),
        value: whole(value),
        story: t("whyCharacters"),
        code: told(cut, `${text}.length`),
      };
    case "bytes":
      return {
        ...shared,
        key: "count-bytes",
        title: t("countBytes"),
        value: whole(value),
        story: t("whyBytes"),
        code: told(cut, `new TextEncoder().encode(${text}).length`),
      };
    case "words":
      return {
        ...shared,
        key: "count-words",
        title: t("countWords"),
        value: whole(value),
        story: t("whyWords"),
        code: computed(cut, `${text}.match(/\\S+/g).length`),
      };
    case "perToken": {
      const formula = String.raw`\frac{\text{characters}}{n}`;
      return {
        ...shared,
        key: "per-token",
        title: t("perToken"),
        value: value.toFixed(4),
        story: t("whyPer"),
        formula,
        code: computed(cut, `${text}.length / tokens.length`),
      };
    }
  }
}

export function wordWhy(key: string, { text, tokens: count = 0, first }: Word, cut: Cut): Why {
  const special = cut.tokens.some((token) => token.special) ? ".filter(({ special }) => !special)" : "";
  return {
    key,
    title: visible(text),
    value: count === 1 ? t("wordToken") : t("wordTokens", { n: count }),
    provenance: "derived",
    story: t("whyWord"),
    operands: [{ symbol: "n", name: t("opTokens"), value: whole(cut.count) }],
    code: told(cut, `tokens${special}.slice(${first}, ${first + count})`),
  };
}

/** The other tokenizer's count. Characters and bytes need no tokenizer. */
export function besideWhy(beside: Beside, name: string, cut: Cut, other: Tokenized): Why {
  const text = JSON.stringify(cut.text);
  const plain = beside === "bytes" ? `new TextEncoder().encode(${text}).length` : `[...${text}].length`;
  const model = beside.includes(":");
  return {
    key: "count-beside",
    title: `${name}: ${t("countTokens")}`,
    value: whole(other.count),
    provenance: "derived",
    story: t("whyBeside"),
    operands: [{ symbol: "V", name: t("opVocabulary"), value: whole(other.vocabularySize) }],
    code: model ? told({ ...cut, model: name }, "tokens.length") : { library: `${plain};`, command: `node -e ${shellWord(`console.log(${plain})`)}` },
  };
}

/** How many tokens a tokenizer knows: a model's, or one of the two that need none. */
export function vocabularyWhy(side: Beside | "own", name: string, cut: Cut, size: number): Why {
  return {
    key: side === "own" ? "vocabulary-own" : "vocabulary-beside",
    title: `${name}: ${t("opVocabulary")}`,
    value: whole(size),
    provenance: side === "bytes" || side === "characters" ? "derived" : "computed",
    story: t(side === "bytes" ? "whyAllBytes" : side === "characters" ? "whyAllCharacters" : "whyVocabulary"),
    formula: side === "bytes" ? "V = 2^8" : "V",
    operands: [{ symbol: "V", name: t("opVocabulary"), value: whole(size) }],
    code: vocabularyCode(side, name, cut),
  };
}

function vocabularyCode(side: Beside | "own", name: string, { text }: Cut): NonNullable<Why["code"]> {
  if (side === "bytes" || side === "characters") {
    const plain = side === "bytes" ? "2 ** 8" : `new Set(${JSON.stringify(text)}).size`;
    return { library: `${plain};`, command: `node -e ${shellWord(`console.log(${plain})`)}` };
  }
  const call = `const tokenizer = await loadTokenizer(${JSON.stringify(name)});`;
  return { library: `${call}\ntokenizer.vocabularySize;`, command: nodeCommand("loadTokenizer", [call], "tokenizer.vocabularySize") };
}

export function idWhy(cut: Cut, at: number): Why {
  const { id, text } = cut.tokens[at];
  return {
    key: "piece-id",
    title: t("idTitle", { token: visible(text) }),
    value: String(id),
    provenance: "computed",
    story: t("whyId"),
    formula: String.raw`x = W_E[\mathrm{id}]`,
    operands: [{ symbol: "V", name: t("opVocabulary"), value: whole(cut.vocabularySize) }],
    code: told(cut, `tokens[${at}].id`),
  };
}

export const byteKey = (at: number, i: number): string => `byte-${at}-${i}`;

/** Byte `i` of token `at`: number `place` of its character's. */
export function byteWhy(cut: Cut, at: number, i: number, part: Part, place: number): Why {
  const byte = cut.tokens[at].bytes[i];
  const bits = byte.toString(2).padStart(8, "0");
  const mark = markBits(byte);
  const sense = part.of === 1 ? (byte < 0x80 ? "byteAlone" : "byteNone") : place === 1 ? "byteFirst" : "byteFurther";
  const code = part.character.codePointAt(0) ?? 0;
  const exact = part.of > 1 || byte < 0x80;
  return {
    key: byteKey(at, i),
    title: t("byteTitle", { n: place, of: part.of, character: visible(part.character) }),
    value: hex(byte),
    provenance: "computed",
    story: t(sense, { character: visible(part.character), n: lengthOf(byte) }),
    formula: exact ? bytesFormula(code, part.of) : `\\mathtt{${hex(byte)}}_{16} = ${byte}`,
    operands: [
      { symbol: "b", name: t("opDecimal"), value: String(byte) },
      { symbol: "b_2", name: t("opBits"), value: `${bits.slice(0, mark)} ${bits.slice(mark)}` },
      ...(exact ? [{ symbol: "c", name: t("opCode"), value: `U+${code.toString(16).toUpperCase().padStart(4, "0")}` }] : []),
    ],
    code: told(cut, `tokens[${at}].bytes[${i}].toString(16)`),
  };
}

/** The code point, put together of the bits behind the marks: six of every byte but the first. */
function bytesFormula(code: number, bytes: number): string {
  const digits = Array.from({ length: bytes }, (_, i) => (code >> (6 * (bytes - 1 - i))) & (i === 0 ? 0x7f : 0x3f));
  const width = (i: number): number => (bytes === 1 ? 7 : i === 0 ? 7 - bytes : 6);
  const parts = digits.map((bits, i) => `\\mathtt{${bits.toString(2).padStart(width(i), "0")}}`);
  return `${parts.join("\\,")}_2 = \\mathtt{${code.toString(16).toUpperCase()}}_{16}`;
}
