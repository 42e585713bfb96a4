/**
 * Rotary position tables (Su et al. 2021): for each position the cosines of its rotary/2 angles, then the sines.
 * Turning the heads is the device's `rope` kernel.
 */
import type { Device } from "../device/device.ts";
import { permanent } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { RotaryConfig } from "./config.ts";

/** Positions the first table covers; a longer one is made when a pass needs it. */
const FIRST_POSITIONS = 1024;

export class RotaryTables {
  readonly #device: Device;
  readonly #config: RotaryConfig;
  #tables: Tensor;

  constructor(device: Device, config: RotaryConfig, contextLength: number) {
    this.#device = device;
    this.#config = config;
    this.#tables = makeTables(device, config, Math.min(contextLength, FIRST_POSITIONS));
  }

  /** (at least `positions`, rotary); good until the next call. */
  upTo(positions: number): Tensor {
    if (positions > this.#tables.shape[0]) {
      this.#tables.dispose();
      this.#tables = makeTables(this.#device, this.#config, Math.max(positions, 2 * this.#tables.shape[0]));
    }
    return this.#tables;
  }

  dispose(): void {
    this.#tables.dispose();
  }
}

function makeTables(device: Device, config: RotaryConfig, positions: number): Tensor {
  const frequencies = rotaryFrequencies(config);
  const half = frequencies.length;
  const values = new Float32Array(positions * 2 * half);
  for (let position = 0; position < positions; position++)
    for (let i = 0; i < half; i++) {
      const angle = position * frequencies[i];
      values[position * 2 * half + i] = Math.cos(angle);
      values[position * 2 * half + half + i] = Math.sin(angle);
    }
  const tables = permanent(device, [positions, 2 * half]);
  device.write(tables.buffer, values);
  return tables;
}

/** Radians per position of each pair: theta^(-2i / rotary), stretched as Hugging Face's rope_scaling says. */
function rotaryFrequencies({ theta, dimensions, scaling }: RotaryConfig): number[] {
  const plain = Array.from({ length: dimensions / 2 }, (_, i) => theta ** ((-2 * i) / dimensions));
  switch (scaling.kind) {
    case "none":
      return plain;
    case "linear":
      return plain.map((frequency) => frequency / scaling.factor);
    case "llama3":
      // Llama 3.1: long waves are stretched by the factor, short ones left alone, those between blended.
      return plain.map((frequency) => {
        const turns = (scaling.originalContext * frequency) / (2 * Math.PI); // full turns within the original context
        if (turns < scaling.lowFrequency) return frequency / scaling.factor;
        if (turns > scaling.highFrequency) return frequency;
        const share = (turns - scaling.lowFrequency) / (scaling.highFrequency - scaling.lowFrequency);
        return (1 - share) * (frequency / scaling.factor) + share * frequency;
      });
    default:
      return scaling satisfies never;
  }
}
