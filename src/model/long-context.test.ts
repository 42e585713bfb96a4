/**
 * Memory linear in the prompt's length: attention that nobody listens to never holds T x T scores, on any build of the CPU device.
 * Two witnesses: the most bytes of buffers that ever lived at once, and, scratch and all, how far the heap grew.
 */
import { describe, expect, test } from "vitest";
import { openCpu, openNative } from "../device/cpu/cpu.ts";
import type { CpuHost } from "../device/cpu/host.ts";
import type { Device } from "../device/device.ts";
import { loadNative } from "../host/node-native.ts";
import { nodeCpuHost } from "../host/node-threads.ts";
import { gpt2Config } from "./presets.ts";
import { randomModel } from "./random-weights.ts";
import { taps } from "./taps.ts";

const [layers, heads, width, vocabularySize] = [2, 8, 64, 50];
const config = gpt2Config({ layers, heads, width, vocabularySize, contextLength: 2048 });
/** Scores of one layer at T positions, in bytes: 134 MB at 2048, where everything linear is a few. */
const scoreBytes = (T: number): number => 4 * heads * T * T;
/** Keys and values of all layers at T positions. */
const cacheBytes = (T: number): number => 4 * 2 * layers * T * width;
/** What one pass holds at a time: both embeddings, the stream and its next two states, two norms, q k v and their cuts, z, MLP (4 C); ids and positions. */
const activationBytes = (T: number): number => 4 * T * (18 * width + 4);

/** The same device, which remembers the most bytes that lived at once since `peak` was last asked for. */
function watched(device: Device): { readonly device: Device; peak(): number } {
  let most = 0;
  const look = <Made>(made: Made): Made => {
    most = Math.max(most, device.memory().bytes);
    return made;
  };
  return {
    device: { ...device, allocate: (dtype, length) => look(device.allocate(dtype, length)) },
    peak: () => {
      const peak = most;
      most = 0;
      return peak;
    },
  };
}

/** Peak of live bytes over what lives anyway, for one pass over T tokens. */
async function peakOfPrompt(device: Device, T: number, listen: boolean): Promise<number> {
  const { device: watching, peak } = watched(device);
  const model = await randomModel(config, watching, 1);
  const before = device.memory().bytes;
  peak();
  const heard = listen ? taps(config, { "blocks.0.attn.hook_pattern": () => {} }) : undefined;
  const logits = model.forward([Array.from({ length: T }, (_, i) => (i * i) % vocabularySize)], { taps: heard });
  const most = peak() - before;
  logits.dispose();
  model.dispose();
  return most;
}

/** A host whose heap can be looked at: every thread is told where it is. */
function openHost(): { readonly host: CpuHost; heapBytes(): number } {
  const host = nodeCpuHost();
  let memory: WebAssembly.Memory | undefined;
  return {
    host: {
      ...host,
      spawnThread: (start) => {
        memory = start.memory;
        return host.spawnThread!(start);
      },
    },
    heapBytes: () => memory!.buffer.byteLength,
  };
}

const native = loadNative();
const builds: readonly { readonly name: string; readonly open: () => Promise<Device> }[] = [
  { name: "wasm", open: () => openCpu({ host: nodeCpuHost(), threads: 2 }) },
  ...("missing" in native ? [] : [{ name: "native", open: async () => openNative({ host: nodeCpuHost(), native: native.kernels, threads: 2 }) }]),
];

describe.each(builds)("a prompt of 2 T tokens on $name", ({ open }) => {
  test("takes no more than twice what T take, and only cache and activations", async () => {
    const device = await open();
    const [once, twice] = [await peakOfPrompt(device, 1024, false), await peakOfPrompt(device, 2048, false)];
    device.dispose();
    expect(once).toBeGreaterThan(cacheBytes(1024)); // or the watch saw nothing
    expect(twice - once).toBeLessThanOrEqual(cacheBytes(1024) + activationBytes(1024));
    expect(twice).toBeLessThanOrEqual(2 * once);
  });

  test("would show T x T scores: a listener to the pattern gets them", async () => {
    const device = await open();
    const [once, twice] = [await peakOfPrompt(device, 256, true), await peakOfPrompt(device, 512, true)];
    device.dispose();
    expect(twice - once).toBeGreaterThan(scoreBytes(512) - scoreBytes(256));
  });
});

test("the heap, scratch and all, grows by far less than one layer's scores", async () => {
  const { host, heapBytes } = openHost();
  const device = await openCpu({ host, threads: 2 });
  await peakOfPrompt(device, 64, false);
  const before = heapBytes();
  await peakOfPrompt(device, 2048, false);
  const grown = heapBytes() - before;
  device.dispose();
  expect(scoreBytes(2048)).toBeGreaterThan(100e6);
  expect(grown).toBeLessThan(32e6); // memory grows in steps of 16 MiB
});
