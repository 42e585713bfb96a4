/**
 * An engine without a network and a process without a console, for testing the command in this very process:
 * the real loop of generation/ over a fake model, on a vocabulary with everything that is hard to print.
 */
import { PassThrough, Readable, Writable } from "node:stream";
import type { Engine } from "../../src/engine/engine.ts";
import { localEngine } from "../../src/engine/local.ts";
import { byteTokenizer, fakeModel } from "../../src/generation/fake.testing.ts";
import type { Models, OpenOptions } from "../../src/cli/models.ts";
import { main } from "../../src/cli/main.ts";
import { presetConfig } from "../../src/model/presets.ts";
import { tally } from "../../src/model/tally.ts";
import type { MergeStep, Token, Tokenizer } from "../../src/tokenizer/tokenizer.ts";

const words: readonly string[] = [
  " there", " was", " a", " little", " girl", ",", ".", "\n", " and", " the", " cat", '"', "\\", "    ", "\t", " naïve", " 東京", "語", " 🙂", "👩‍👩‍👧", " мир",
  " שלום", "مرحبا", "\u202e", "\u0301", "\u0000", "\u00a0", " हिन्दी", " ก็", "ﷺ", "Ω", " undoubtedly and without any reasonable doubt whatsoever",
]; // prettier-ignore
const utf8 = new TextEncoder();

/** <s>, </s>, the words above, then the 256 bytes: any text can be written with it. */
export function hardTokenizer(): Tokenizer {
  const bytesFrom = 2 + words.length;
  const tokens: Token[] = [
    ...["<s>", "</s>"].map((text, id) => ({ id, text, bytes: new Uint8Array(), special: true })),
    ...words.map((text, i) => ({ id: 2 + i, text, bytes: utf8.encode(text), special: false })),
    ...Array.from({ length: 256 }, (_, byte) => ({
      id: bytesFrom + byte,
      text: new TextDecoder().decode(Uint8Array.of(byte)),
      bytes: Uint8Array.of(byte),
      special: false,
    })),
  ];
  const encode = (text: string): number[] => {
    const ids: number[] = [];
    for (let at = 0; at < text.length;) {
      const longest = words.filter((candidate) => text.startsWith(candidate, at)).toSorted((a, b) => b.length - a.length)[0];
      const word = words.indexOf(longest);
      if (word >= 0) ids.push(2 + word);
      const piece = word >= 0 ? words[word] : String.fromCodePoint(text.codePointAt(at)!);
      if (word < 0) ids.push(...Array.from(utf8.encode(piece), (byte) => bytesFrom + byte));
      at += piece.length;
    }
    return ids;
  };
  const decoder: Tokenizer["decoder"] = () => {
    const stream = new TextDecoder("utf-8", { ignoreBOM: true });
    return { push: (id) => stream.decode(tokens[id].bytes, { stream: true }), end: () => stream.decode() };
  };
  return {
    kind: "byte-level-bpe",
    vocabularySize: tokens.length,
    bosId: 0,
    eosId: 1,
    encode: (text, options) => (options?.template === false ? encode(text) : [0, ...encode(text)]),
    decode: (ids) => {
      const stream = decoder();
      return ids.map((id) => stream.push(id)).join("") + stream.end();
    },
    decoder,
    token: (id) => tokens[id],
    idOf: (piece) => tokens.findIndex((token) => token.text === piece),
    merges: (text): MergeStep[][] => (text === "" ? [] : [[{ pieces: [...text], at: -1, rank: -1 }, { pieces: [text.slice(0, 2), ...text.slice(2)], at: 0, rank: 4 }]]), // prettier-ignore
  };
}

export interface FakeOptions {
  readonly context?: number;
  /** A tokenizer without special tokens: an empty prompt has nothing to begin with. */
  readonly bare?: boolean;
}

export function fakeEngine({ context = 64, bare = false }: FakeOptions = {}): Engine {
  const tokenizer = bare ? byteTokenizer() : hardTokenizer();
  return localEngine({
    model: { ...fakeModel(context, tokenizer.vocabularySize, bare ? [] : [1]), device: { summary: "fake" } } as never,
    tokenizer,
    name: "fake",
    tally: (rule) => tally(presetConfig("gpt2"), rule, "fake"),
  });
}

export interface FakeModels extends Models {
  readonly asked: OpenOptions[];
  disposed: number;
}

export function fakeModels(
  options: FakeOptions & { readonly onOpen?: (asked: OpenOptions) => void; readonly more?: Partial<Models> } = {},
): FakeModels {
  const models: FakeModels = {
    asked: [],
    disposed: 0,
    open: async (asked) => {
      models.asked.push(asked);
      options.onOpen?.(asked);
      const engine = fakeEngine(options);
      return { ...engine, info: { ...engine.info, weights: asked.weights ?? "f32" }, dispose: () => void (engine.dispose(), models.disposed++) };
    },
    openTokenizer: async () => ({ name: "fake", tokenizer: hardTokenizer() }),
    tally: async (name, rule, changes) => ({ tally: tally(presetConfig(name ?? "gpt2", changes), rule, name ?? "gpt2"), stored: undefined }),
    list: async () => [],
    fetch: async () => {
      throw new Error("not in this test");
    },
    ...options.more,
  };
  return models;
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly models: FakeModels;
}

export interface RunOptions {
  /** What is piped in; undefined: a terminal with nobody typing. */
  readonly stdin?: string | Readable;
  /** Of a terminal; undefined: a pipe. */
  readonly columns?: number;
  readonly errorColumns?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly models?: FakeModels;
  readonly stdout?: Writable;
  readonly onInterrupt?: (listener: () => void) => () => void;
}

/** Runs a command line as the shell would, and collects what it wrote. */
export async function vitrine(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { models = fakeModels() } = options;
  const written = { stdout: "", stderr: "" };
  const sink = (name: "stdout" | "stderr", columns: number | undefined): Writable & { isTTY?: boolean; columns?: number } =>
    Object.assign(
      new Writable({
        decodeStrings: false,
        write: (chunk: string, _, done) => {
          written[name] += chunk;
          done();
        },
      }),
      columns === undefined ? {} : { isTTY: true, columns },
    );
  const stdin =
    options.stdin === undefined
      ? Object.assign(new PassThrough(), { isTTY: true })
      : typeof options.stdin === "string"
        ? Readable.from([Buffer.from(options.stdin)])
        : options.stdin;
  const code = await main(
    argv,
    {
      stdin,
      stdout: options.stdout ?? sink("stdout", options.columns),
      stderr: sink("stderr", options.errorColumns),
      env: { LANG: "C.UTF-8", TERM: "xterm-256color", COLORTERM: "truecolor", ...options.env },
      onInterrupt: options.onInterrupt ?? (() => () => {}),
    },
    models,
  );
  return { code, ...written, models };
}

const styles = new RegExp(String.fromCharCode(27) + String.raw`\[[\d;]*m`, "g");

/** Takes the styles away. Anything else that begins with ESC stays and is found by the tests. */
export function plain(text: string): string {
  return text.replaceAll(styles, "");
}
