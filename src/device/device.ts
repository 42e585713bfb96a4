/**
 * The lower waist: what a device is. Everything above (tensor/, model/) computes through this one interface;
 * everything below (reference/, cpu/, later webgpu/) implements it and never hears of a Tensor.
 *
 * - A device owns buffers (flat runs of numbers) and matrices (weights, in whatever layout it streams best).
 * - Work is asked for by calling kernels. A kernel call enqueues; results are seen through `read`, which waits.
 *   A CPU device has finished when the call returns; nobody above may rely on that.
 * - Kernels are coarse, as in llm.c: one call is one step of the forward pass.
 * - `reference/` is the living definition of every kernel; all devices run the same test body.
 *
 * Letters: B batch, T time (new positions), S time including the cache, C channels, H heads, D head size, V vocabulary.
 * All numbers are fp32, row-major, last axis contiguous, unless said otherwise.
 */
import type { TrainingKernels } from "./training-kernels.ts";

export type DeviceName = "reference" | "wasm" | "native";

/**
 * How a matrix keeps its numbers. Written as fp32, they are rounded: to fp16 ("f16"), or in blocks of 32 along the inputs with one
 * fp16 scale, as ggml's Q8_0 ("int8", about 8.5 bits a number) and Q4_0 ("int4", 4.5 bits). What is left of a number is the same
 * on every device, and a matrix holds exactly that: reference/rounding.ts defines it.
 */
export type MatrixFormat = "f32" | "f16" | "int8" | "int4";

/** Activation functions as Hugging Face configs name them: gelu = exact (erf), gelu_new = tanh approximation. */
export type Activation = "gelu" | "gelu_new" | "silu" | "relu";

export interface DeviceBuffer {
  readonly dtype: "f32" | "i32";
  /** Elements, not bytes. */
  readonly length: number;
  /** Gives the memory back. Using the buffer afterwards is an error; freeing twice is harmless. */
  free(): void;
}

/** A weight matrix W of (outputs, inputs): y = W x. Its layout is the device's secret. */
export interface Matrix {
  readonly outputs: number;
  readonly inputs: number;
  readonly format: MatrixFormat;
  /** Bytes the device holds for it, padding included. */
  readonly byteLength: number;
  free(): void;
}

/**
 * Which part of a matrix a block of numbers fills, and how the block lies in memory.
 * For int8 and int4 its inputs are whole blocks of 32: they begin at a multiple of 32 and end at one, or at the matrix's end.
 */
export interface MatrixBlock {
  /** First output row and number of rows covered. */
  readonly output: number;
  readonly outputs: number;
  /** First input column and number of columns covered. */
  readonly input: number;
  readonly inputs: number;
  /** "outputs-first": (outputs, inputs), PyTorch's Linear. "inputs-first": (inputs, outputs), GPT-2's Conv1D. */
  readonly order: "outputs-first" | "inputs-first";
}

export interface Device {
  readonly name: DeviceName;
  /** One line for people: what was picked and why, for example "wasm, relaxed SIMD, 2 threads". */
  readonly summary: string;
  readonly threads: number;
  readonly kernels: Kernels;

  /** A buffer whose contents are undefined until written. Throws VitrineError naming the limit when memory is out. */
  allocate(dtype: "f32" | "i32", length: number): DeviceBuffer;
  write(buffer: DeviceBuffer, values: Float32Array | Int32Array, at?: number): void;
  /** A copy of `length` elements from `at`, as they are once all work asked for before this call is done. */
  read(buffer: DeviceBuffer, at?: number, length?: number): Promise<Float32Array | Int32Array>;

  /** A matrix whose numbers are zero until written. */
  matrix(outputs: number, inputs: number, format?: MatrixFormat): Matrix;
  /**
   * Fills a block; `values` holds block.outputs x block.inputs numbers. A matrix is written block by block while its file is read, so no second copy of it ever exists.
   * Throws VitrineError when the matrix's format cannot hold a number: not finite or, for f16, of magnitude 65520 or more.
   */
  writeMatrix(matrix: Matrix, values: Float32Array, block: MatrixBlock): void;
  /** Rows `output` to `output + outputs` as (outputs, inputs): the numbers the matrix holds. For saving and for looking. */
  readMatrix(matrix: Matrix, output?: number, outputs?: number): Promise<Float32Array>;

  /** Live memory, for leak tests and for `vitrine devices`. */
  memory(): { readonly buffers: number; readonly matrices: number; readonly bytes: number };
  /** Ends the device's threads. Everything it owned is gone. */
  dispose(): void;
}

/** Sizes shared by all attention kernels. `past` (B,) i32 holds how many positions of each sequence are cached already. */
export interface AttentionSizes {
  readonly B: number;
  readonly T: number;
  readonly H: number;
  /** Key/value heads; query head h reads key head floor(h * KV / H). */
  readonly KV: number;
  readonly D: number;
  /** Positions each sequence's cache has room for. Caches are (B, KV, capacity, D). */
  readonly capacity: number;
  readonly past: DeviceBuffer;
  /** Query t of sequence b stands at position past[b] + t and sees keys from position - window + 1 up to itself; 0 = all of them. */
  readonly window: number;
  /** Scores are q.k times this; 1 / sqrt(D) in both families. */
  readonly scale: number;
}

/**
 * The kernels of the forward pass; training-kernels.ts adds those of the backward pass. `out` is always first and may be the same buffer as an input of the same size only where said ("in place").
 * Every other output must not overlap its inputs.
 */
export interface Kernels extends TrainingKernels {
  fill(out: DeviceBuffer, value: number): void;
  /** out[outAt ...] = x[xAt ...], length elements. */
  copy(out: DeviceBuffer, outAt: number, x: DeviceBuffer, xAt: number, length: number): void;

  /** out (rows, inputs): row r is row ids[r] of the table. ids (rows,) i32. Looking a token's vector up. */
  embed(out: DeviceBuffer, table: Matrix, ids: DeviceBuffer, rows: number): void;
  /** out (rows, width): row r is row indices[r] of x. indices (rows,) i32. */
  gatherRows(out: DeviceBuffer, x: DeviceBuffer, indices: DeviceBuffer, rows: number, width: number): void;

  /** out = a + b, length elements. In place. */
  add(out: DeviceBuffer, a: DeviceBuffer, b: DeviceBuffer, length: number): void;

  /** out (rows, width) = (x - mean) / sqrt(variance + epsilon) * weight + bias, per row (Ba et al. 2016). bias may be null. In place. */
  layerNorm(out: DeviceBuffer, x: DeviceBuffer, weight: DeviceBuffer, bias: DeviceBuffer | null, rows: number, width: number, epsilon: number): void;
  /** out (rows, width) = x / sqrt(mean(x^2) + epsilon) * weight, per row (Zhang and Sennrich 2019). In place. */
  rmsNorm(out: DeviceBuffer, x: DeviceBuffer, weight: DeviceBuffer, rows: number, width: number, epsilon: number): void;

  /**
   * out (rows, outputs) = activation(x W^T + bias) + residual. x is (rows, inputs).
   * bias (outputs,), residual (rows, outputs; may be `out` itself) and activation may be null.
   *
   * With int8 and int4 weights a device may round x too, each row in blocks of 32, to multiples of (largest magnitude / n), so that
   * blocks multiply as whole numbers; n is 127, but 32767 with int8 and fewer than 512 inputs, where rounding is felt. Each x is then
   * off by at most 1 / 2n of its block's largest, and an output by at most the sum over inputs of |weight| times that.
   * A row gives the same bits alone and among others.
   */
  linear(
    out: DeviceBuffer,
    x: DeviceBuffer,
    weights: Matrix,
    bias: DeviceBuffer | null,
    activation: Activation | null,
    residual: DeviceBuffer | null,
    rows: number,
  ): void;
  /**
   * out (M, N) = A B (+ out when accumulate), on plain row-major buffers.
   * a is (M, K), or (K, M) when transposeA; b is (K, N), or (N, K) when transposeB. The forms training needs.
   */
  matmul(
    out: DeviceBuffer,
    a: DeviceBuffer,
    b: DeviceBuffer,
    M: number,
    N: number,
    K: number,
    transposeA: boolean,
    transposeB: boolean,
    accumulate: boolean,
  ): void;

  /** out = activation(x), length elements. In place. */
  activate(out: DeviceBuffer, x: DeviceBuffer, activation: Activation, length: number): void;
  /** out (rows, width) = activation(x[:, :width]) * x[:, width:]; x is (rows, 2 width): gate first, then up (Shazeer 2020). */
  gate(out: DeviceBuffer, x: DeviceBuffer, activation: Activation, rows: number, width: number): void;

  /** Cuts columns: out (rows, width) = x[:, from : from + width]; x is (rows, xWidth). */
  columns(out: DeviceBuffer, x: DeviceBuffer, rows: number, xWidth: number, from: number, width: number): void;

  /**
   * Rotary positions (Su et al. 2021), Hugging Face's half-split layout: x (B, T, heads, D) -> same shape. In place.
   * The first `rotary` of D numbers turn; pair i is (i, i + rotary / 2). tables (positions, rotary): cosines of the rotary/2 pairs, then sines.
   * Position of (b, t) is past[b] + t.
   */
  rope(
    out: DeviceBuffer,
    x: DeviceBuffer,
    tables: DeviceBuffer,
    past: DeviceBuffer,
    B: number,
    T: number,
    heads: number,
    D: number,
    rotary: number,
  ): void;

  /** Appends x (B, T, heads, D) to cache (B, heads, capacity, D) at positions past[b] + t; those at or beyond capacity are an error of the caller. */
  append(cache: DeviceBuffer, x: DeviceBuffer, past: DeviceBuffer, B: number, T: number, heads: number, D: number, capacity: number): void;

  /** Causal attention (Vaswani et al. 2017, 3.2.1): out (B, T, H, D) from q (B, T, H, D) and the caches, which already hold the new keys and values. Memory linear in S. */
  attention(out: DeviceBuffer, q: DeviceBuffer, keys: DeviceBuffer, values: DeviceBuffer, sizes: AttentionSizes): void;
  /** The same in three steps, for listeners. scores (B, H, T, S): q.k * scale, -Infinity where hidden. */
  attentionScores(out: DeviceBuffer, q: DeviceBuffer, keys: DeviceBuffer, sizes: AttentionSizes, S: number): void;
  /** out (B, T, H, D) = pattern (B, H, T, S) times values. */
  attentionMix(out: DeviceBuffer, pattern: DeviceBuffer, values: DeviceBuffer, sizes: AttentionSizes, S: number): void;

  /** out (rows, width): each row exp(x - max) / sum. -Infinity gives exactly 0. In place. */
  softmax(out: DeviceBuffer, x: DeviceBuffer, rows: number, width: number): void;
  /** out (rows,): -log softmax(logits)[target], natural logarithm; 0 where the target is -1. logits (rows, width), targets (rows,) i32. */
  crossEntropy(out: DeviceBuffer, logits: DeviceBuffer, targets: DeviceBuffer, rows: number, width: number): void;
  /**
   * The `count` largest of each row, best first, ties to the lowest index: ids (rows, count) i32, values (rows, count),
   * and logSumExp (rows,), so that value - logSumExp is a log-probability. x (rows, width), count <= width.
   */
  top(ids: DeviceBuffer, values: DeviceBuffer, logSumExp: DeviceBuffer, x: DeviceBuffer, rows: number, width: number, count: number): void;
}
