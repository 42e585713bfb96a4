/**
 * How fast a device is, in the two figures that decide what people feel: multiplying (reading a prompt, training) and
 * streaming weights (each new token reads all of them once). A fraction of a second; bench/ does it properly.
 */
import { randomFrom } from "../base/random.ts";
import type { Device } from "./device.ts";

export interface DeviceSpeed {
  /** linear of (256, 768) with a (768, 768) matrix, 2 operations a multiply-add, in 10^9 a second. */
  readonly gigaflops: number;
  /** linear of one row with a matrix larger than caches, its bytes read, in 10^9 a second. */
  readonly gigabytesPerSecond: number;
}

const rows = 256;
const width = 768;
/** 96 MiB of weights. */
const tall = 32768;
const seconds = 0.15;

/** The best of several turns, since other programs only ever make it slower. */
export async function measureDevice(device: Device): Promise<DeviceSpeed> {
  const random = randomFrom(1);
  const numbers = Float32Array.from({ length: rows * width }, () => random.next() - 0.5);
  const x = device.allocate("f32", rows * width);
  const out = device.allocate("f32", Math.max(rows * width, tall));
  const matrix = device.matrix(tall, width);
  try {
    device.write(x, numbers);
    // Written, not left zero: untouched memory is one page of the system over and over.
    for (let output = 0; output < tall; output += rows)
      device.writeMatrix(matrix, numbers, { output, outputs: rows, input: 0, inputs: width, order: "outputs-first" });
    const small = device.matrix(width, width);
    device.writeMatrix(small, numbers.subarray(0, width * rows), { output: 0, outputs: rows, input: 0, inputs: width, order: "outputs-first" });
    const multiply = await fastest(device, () => device.kernels.linear(out, x, small, null, null, null, rows));
    small.free();
    const stream = await fastest(device, () => device.kernels.linear(out, x, matrix, null, null, null, 1));
    return { gigaflops: (2 * rows * width * width) / multiply / 1e9, gigabytesPerSecond: matrix.byteLength / stream / 1e9 };
  } finally {
    for (const made of [x, out, matrix]) made.free();
  }
}

/** Seconds of the quickest call. Reading one number back waits for the work on devices that only enqueue. */
async function fastest(device: Device, work: () => void): Promise<number> {
  const probe = device.allocate("f32", 1);
  let best = Infinity;
  const end = performance.now() + 1000 * seconds;
  do {
    const started = performance.now();
    work();
    await device.read(probe);
    best = Math.min(best, performance.now() - started);
  } while (performance.now() < end);
  probe.free();
  return best / 1000;
}
