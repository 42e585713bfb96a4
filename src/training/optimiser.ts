/**
 * AdamW on a device (Loshchilov and Hutter 2019): for everything that is learned, its gradient and two memories, and the step they lead to.
 * The step itself is the device's kernel; how large it is, schedule.ts's; keeping all this in a file, checkpoint.ts's.
 */
import type { Device, DeviceBuffer, Matrix } from "../device/device.ts";
import type { Weights } from "../device/training-kernels.ts";
import type { Learnable } from "../model/learnable.ts";

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Of what decays: matrices. */
  readonly weightDecay: number;
}

/** One learnable with what the optimiser keeps for it; all four are of one kind and size. */
export interface Trained extends Learnable {
  readonly gradient: Weights;
  /** Running means of the gradient and of its square. */
  readonly m: Weights;
  readonly v: Weights;
}

export class AdamW {
  readonly trained: readonly Trained[];
  /** For a Tape: each of the weights, and where its gradient is added. */
  readonly gradients: ReadonlyMap<Weights, Weights>;
  /** Steps taken. A resume sets it. */
  steps = 0;
  readonly #device: Device;
  readonly #options: AdamWOptions;
  readonly #sums: DeviceBuffer;
  readonly #owned: { free(): void }[] = [];

  /** Gradients and memories begin at 0. Gives everything back when memory runs out half way. */
  constructor(device: Device, learnables: readonly Learnable[], options: AdamWOptions) {
    this.#device = device;
    this.#options = options;
    try {
      this.trained = learnables.map((learnable) => ({
        ...learnable,
        gradient: this.#zeros(learnable.weights),
        m: this.#zeros(learnable.weights),
        v: this.#zeros(learnable.weights),
      }));
      this.#sums = device.allocate("f32", this.trained.length);
      this.#owned.push(this.#sums);
    } catch (error) {
      this.dispose();
      throw error;
    }
    this.gradients = new Map(this.trained.map(({ weights, gradient }) => [weights, gradient]));
  }

  clearGradients(): void {
    for (const { gradient } of this.trained) this.#device.kernels.clear(gradient);
  }

  /** The length of all gradients taken as one vector; NaN or Infinity when a number in them is. */
  async gradientNorm(): Promise<number> {
    this.trained.forEach(({ gradient }, at) => this.#device.kernels.sumOfSquares(this.#sums, at, gradient));
    const sums = await this.#device.read(this.#sums);
    let sum = 0;
    for (const part of sums) sum += part;
    return Math.sqrt(sum);
  }

  /** One step down the gradients, each multiplied by `gradientScale`: that is how they are clipped. */
  step(learningRate: number, gradientScale: number): void {
    this.steps++;
    const { weightDecay, ...betas } = this.#options;
    for (const { weights, gradient, m, v, decays } of this.trained) {
      const step = { ...betas, learningRate, gradientScale, step: this.steps, weightDecay: decays ? weightDecay : 0 };
      this.#device.kernels.adamW(weights, gradient, m, v, step);
    }
  }

  /** Gives gradients and memories back; the weights are the model's. */
  dispose(): void {
    for (const owned of this.#owned.splice(0)) owned.free();
  }

  #zeros(like: Weights): Weights {
    const made = isMatrix(like) ? this.#device.matrix(like.outputs, like.inputs) : this.#device.allocate("f32", like.length);
    this.#owned.push(made);
    this.#device.kernels.clear(made);
    return made;
  }
}

export function isMatrix(weights: Weights): weights is Matrix {
  return "outputs" in weights;
}

/** (outputs, inputs) or (length,). */
export function shapeOf(weights: Weights): number[] {
  return isMatrix(weights) ? [weights.outputs, weights.inputs] : [weights.length];
}

/** A copy of the numbers. */
export async function readWeights(device: Device, weights: Weights): Promise<Float32Array> {
  return isMatrix(weights) ? device.readMatrix(weights) : ((await device.read(weights)) as Float32Array);
}

export function writeWeights(device: Device, weights: Weights, values: Float32Array): void {
  if (!isMatrix(weights)) return device.write(weights, values);
  const { outputs, inputs } = weights;
  device.writeMatrix(weights, values, { output: 0, outputs, input: 0, inputs, order: "outputs-first" });
}
