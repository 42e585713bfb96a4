import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { devices } from "../device/devices.testing.ts";
import type { Device } from "../device/device.ts";
import { openReference } from "../device/reference/reference.ts";
import type { LanguageModel } from "../model/model.ts";
import { gpt2Config } from "../model/presets.ts";
import { randomModel } from "../model/random-weights.ts";
import { evenBatches } from "./batch.ts";
import { evaluate, meanLoss } from "./evaluate.ts";
import type { EvaluateOptions } from "./evaluate.ts";
import { characters, gpt2, llama } from "./tokenizers.testing.ts";
import type { TokenData } from "./token-list.ts";

const V = 13;
const config = gpt2Config({ layers: 1, heads: 2, width: 8, contextLength: 8, vocabularySize: V });
const text = (length: number): Uint16Array<ArrayBuffer> => Uint16Array.from({ length }, (_, i) => (i * i * 7 + (i >> 2)) % V);

/** One forward pass for every token: what evaluation must come to, the slow way. */
async function slowly(
  model: LanguageModel,
  { tokens, mask }: TokenData,
  { context = 8, stride = context }: EvaluateOptions,
): Promise<{ loss: number; accuracy: number; tokens: number }> {
  let [nats, right, count] = [0, 0, 0];
  for (let at = 1; at < tokens.length; at++) {
    if (mask?.[at] === 0) continue;
    const start = at <= context ? 0 : Math.ceil((at - context) / stride) * stride;
    const logits = model.forward([Array.from(tokens.subarray(start, at))]);
    const row = await logits.read();
    logits.dispose();
    const most = Math.max(...row);
    nats += most + Math.log(row.reduce((sum, value) => sum + Math.exp(value - most), 0)) - row[tokens[at]];
    if (row.indexOf(most) === tokens[at]) right++;
    count++;
  }
  return { loss: nats / count, accuracy: right / count, tokens: count };
}

describe.each(devices.filter(({ name }) => /^reference|relaxed SIMD, 2 threads|native.*2 threads/.test(name)))("evaluation on $name", ({ open }) => {
  let device: Device;
  let model: LanguageModel;
  beforeAll(async () => {
    device = await open();
    model = await randomModel(config, device, 3, 0.5);
  });
  afterAll(() => {
    model.dispose();
    device.dispose();
  });

  it("is what asking for every token by itself comes to", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2, max: 60 }),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 8 }),
        fc.boolean(),
        async (length, context, stride, masked) => {
          const tokens = text(length);
          const data = masked ? { tokens, mask: Uint8Array.from(tokens, (id, i) => (i === 1 || id % 3 === 0 ? 1 : 0)) } : { tokens };
          const options = { context, stride: Math.min(stride, context) };
          const [fast, slow] = [await evaluate(model, data, options), await slowly(model, data, options)];
          expect(fast.tokens).toBe(slow.tokens);
          expect(fast.loss).toBeCloseTo(slow.loss, 4);
          expect(fast.accuracy).toBe(slow.accuracy);
          expect(fast.perplexity).toBe(Math.exp(fast.loss));
        },
      ),
      { numRuns: 25 },
    );
  });

  it("gives all memory back and tells how far it is", async () => {
    const before = device.memory();
    const seen: number[] = [];
    await evaluate(model, { tokens: text(100) }, { onProgress: (done, total) => seen.push(done, total) });
    expect(device.memory()).toEqual(before);
    expect(seen.slice(-2)).toEqual([99, 99]);
    expect(await meanLoss(model, evenBatches({ tokens: text(100) }, 3, 8, 100))).toBeGreaterThan(0);
    expect(device.memory()).toEqual(before);
  });
});

describe("evaluation", () => {
  const device = openReference();
  let fast: Device; // for vocabularies of real size
  beforeAll(async () => void (fast = await devices.find(({ name }) => name === "wasm, relaxed SIMD, 1 thread")!.open()));
  afterAll(() => fast.dispose());

  it("reads logits piece by piece where a window's are too many", async () => {
    const wide = await randomModel(gpt2Config({ layers: 1, heads: 1, width: 2, contextLength: 96, vocabularySize: 60_000 }), fast, 3, 0.5);
    const tokens = Uint16Array.from({ length: 90 }, (_, i) => (i * 7919) % 60_000);
    const pieces: number[] = [];
    const whole = await evaluate(wide, { tokens }, { onProgress: (done) => pieces.push(done) });
    expect(pieces).toEqual([69, 89]);
    expect(whole.loss).toBeCloseTo((await meanLoss(wide, evenBatches({ tokens }, 1, 89, 1)))!, 4);
    wide.dispose();
  });

  it("equals the mean over windows when they do not overlap", async () => {
    const model = await randomModel(config, device, 4, 0.5);
    const data = { tokens: text(81) };
    expect((await evaluate(model, data)).loss).toBeCloseTo((await meanLoss(model, evenBatches(data, 4, 8, 100)))!, 6);
    model.dispose();
  });

  it("bits per byte and per character count the text, whatever the tokenizer made of it", async () => {
    const content = "the girl é 東京 there";
    const [bytes, letters] = [new TextEncoder().encode(content).length, [...content].length];
    for (const tokenizer of [await gpt2(), await llama(), await characters(content, ["<|endoftext|>"])]) {
      const model = await randomModel(
        gpt2Config({ layers: 1, heads: 1, width: 2, contextLength: 64, vocabularySize: tokenizer.vocabularySize }),
        fast,
        3,
      );
      const plain = tokenizer.encode(content, { template: false });
      const end = tokenizer.idOf("<|endoftext|>") ?? tokenizer.bosId!;
      const special = tokenizer.kind === "sentencepiece-bpe" ? 1 : 2;
      // The first token is never predicted: an end of text stands there, and another one where it must not count as text.
      const result = await evaluate(model, { tokens: Uint32Array.from([end, ...plain, ...(special === 2 ? [end] : [])]) }, { tokenizer });
      expect([result.bytes, result.characters]).toEqual([bytes, letters]);
      const uniform = (plain.length * Math.log2(tokenizer.vocabularySize)) / bytes; // small weights: all tokens about equally likely
      expect(result.bitsPerByte).toBeGreaterThan(uniform * 0.98);
      expect(result.bitsPerByte).toBeLessThan(uniform * 1.02);
      expect(result.bitsPerCharacter! / result.bitsPerByte!).toBeCloseTo(bytes / letters, 6);
      model.dispose();
    }
  });

  it("without a tokenizer there are no bytes; with one and special tokens alone neither", async () => {
    const model = await randomModel(config, device, 4);
    expect(await evaluate(model, { tokens: text(9) })).toMatchObject({ bytes: 0, bitsPerByte: undefined, bitsPerCharacter: undefined });
    const tokenizer = await characters("ab", ["<|endoftext|>"]);
    const none = await evaluate(model, { tokens: Uint16Array.of(0, 2, 2) }, { tokenizer });
    expect(none).toMatchObject({ tokens: 2, bytes: 0, bitsPerByte: undefined });
    model.dispose();
  });

  it.each<[string, Uint16Array<ArrayBuffer>, EvaluateOptions, Uint8Array | undefined, string]>([
    ["one token", text(1), {}, undefined, "1 tokens, expected at least 2"],
    [
      "a context longer than the model's",
      text(9),
      { context: 9 },
      undefined,
      "context is 9; expected a whole number from 1 to 8 (the model's context length)",
    ],
    [
      "a stride longer than the context",
      text(9),
      { context: 4, stride: 5 },
      undefined,
      "stride is 5; expected a whole number from 1 to 4 (the context)",
    ],
    ["a foreign token", Uint16Array.of(1, 13), {}, undefined, "token id 13, the model knows 13"],
    ["a mask of nothing", text(9), {}, new Uint8Array(9), "the mask counts no token"],
    ["an aborted signal", text(9), { signal: AbortSignal.abort() }, undefined, "stopped"],
  ])("%s is refused", async (_, tokens, options, mask, message) => {
    const model = await randomModel(config, device, 4);
    await expect(evaluate(model, mask ? { tokens, mask } : { tokens }, options)).rejects.toThrow(message);
    model.dispose();
  });
});
