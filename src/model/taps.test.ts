import { expect, test } from "vitest";
import { VitrineError } from "../base/errors.ts";
import { readConfig } from "./config-file.ts";
import { tapNames, taps } from "./taps.ts";
import type { TapListener } from "./taps.ts";

const gpt2 = readConfig({ model_type: "gpt2", n_layer: 3, n_head: 2, n_embd: 8, n_positions: 8, vocab_size: 9 });
const listener: TapListener = () => {};

test("stars stand for any layer", () => {
  const heard = taps(gpt2, { "blocks.*.attn.hook_pattern": listener });
  expect(tapNames(gpt2).filter((name) => heard.listener(name))).toEqual([0, 1, 2].map((layer) => `blocks.${layer}.attn.hook_pattern`));
  expect(heard.listener("blocks.0.attn.hook_q")).toBeUndefined();
});

test("a norm's output goes by two names", () => {
  const heard = taps(
    gpt2,
    new Map([
      ["blocks.1.ln2.output", listener],
      ["ln_final.output", listener],
    ]),
  );
  expect(tapNames(gpt2).filter((name) => heard.listener(name))).toEqual(["blocks.1.ln2.hook_normalized", "ln_final.hook_normalized"]);
});

test("several listeners on one name hear one after the other", () => {
  const order: string[] = [];
  const heard = taps(gpt2, { "blocks.*.hook_resid_mid": () => void order.push("all"), "blocks.2.hook_resid_mid": () => void order.push("one") });
  heard.listener("blocks.2.hook_resid_mid")?.({} as Parameters<TapListener>[0], "blocks.2.hook_resid_mid");
  expect(order).toEqual(["all", "one"]);
});

test.each(["blocks.3.hook_resid_mid", "blocks.0.attn.hook_rot_q", "blocks.*.attn.pattern", "blocks.0.attnXhook_q", "hook_embeds"])(
  "an unknown name is answered with the nearest: %s",
  (name) => {
    expect(() => taps(gpt2, { [name]: listener })).toThrow(VitrineError);
    expect(() => taps(gpt2, { [name]: listener })).toThrow(/no activation is called .* did you mean (blocks\.\d|hook_embed)/);
  },
);
