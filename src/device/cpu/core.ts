/**
 * The compiled kernels on their heap: the one place where a kernel is started, whatever build it is.
 * Arguments are written into a fixed slot of the heap, so a call makes no garbage. kernels.ts knows what each kernel wants.
 */
import { internal } from "../../base/errors.ts";
import { Heap } from "./heap.ts";
import type { Runner } from "./runner.ts";

/** KERNELS_VERSION of kernels/table.h. */
const kernelsVersion = 2;

/** The kernels of kernels/table.h. */
const kernelNames = [
  "fill",
  "copy",
  "embed",
  "gather_rows",
  "add",
  "layer_norm",
  "rms_norm",
  "pack_rows",
  "pack_columns",
  "pack_outputs_first",
  "pack_inputs_first",
  "unpack",
  "gemm",
  "pack_small",
  "unpack_small",
  "quantise_rows",
  "gemm_half",
  "gemm_int8",
  "gemm_int4",
  "activate",
  "gate",
  "columns",
  "rope",
  "append",
  "attention_block",
  "attention_row",
  "attention_scores",
  "attention_mix",
  "softmax",
  "cross_entropy",
  "top",
  "turn_panels",
  "embed_backward",
  "sum_rows",
  "norm_backward",
  "activate_backward",
  "gate_backward",
  "place_columns",
  "rope_backward",
  "cross_entropy_backward",
  "scale",
  "dropout",
  "squared_error",
  "squared_error_backward",
  "square_sums",
  "add_sums",
  "adam_w",
  "attention_backward",
] as const;

type KernelName = (typeof kernelNames)[number];

const slotBytes = 256;
/** Chunks for each thread, so that a thread the system puts aside holds up little. */
const chunksPerThread = 4;

export class Core {
  readonly name: Runner["name"];
  readonly instructions: string;
  readonly heap: Heap;
  readonly threads: number;
  readonly index: Readonly<Record<KernelName, number>>;
  /** First word of the argument slot, as an index into heap.i32 and heap.f32. */
  readonly slot: number;
  readonly #args: number;
  readonly #runner: Runner;
  readonly #run: Runner["run"];
  #scratchAt = 0;
  #scratchBytes = 0;

  /** The runner is this core's from now on. */
  constructor(runner: Runner) {
    this.name = runner.name;
    this.instructions = runner.instructions;
    this.threads = runner.threads;
    this.index = checkedNames(runner.kernelNames);
    this.#runner = runner;
    this.#run = runner.run;
    this.heap = new Heap(runner.memory, runner.start, runner.limit, runner.grown);
    this.#args = this.heap.allocate(slotBytes);
    this.slot = this.#args / 4;
  }

  /** Does all of a kernel whose arguments are in the slot. */
  run(kernel: number, chunks: number): void {
    this.#run(kernel, this.#args, chunks);
  }

  /** Into how many chunks to cut work of so many multiply-adds (or memory words) that has `parts` natural parts. */
  chunks(work: number, parts: number): number {
    if (this.threads === 1 || work < this.#runner.splitAbove || parts < 2) return 1;
    return Math.min(parts, this.threads * chunksPerThread);
  }

  /** Memory for the length of one call. */
  scratch(bytes: number): number {
    if (bytes > this.#scratchBytes) {
      if (this.#scratchBytes > 0) this.heap.free(this.#scratchAt, this.#scratchBytes);
      this.#scratchBytes = 0;
      this.#scratchAt = this.heap.allocate(bytes);
      this.#scratchBytes = bytes;
    }
    return this.#scratchAt;
  }

  dispose(): void {
    this.#runner.dispose();
  }
}

/** Why these compiled kernels cannot be used here: built from other sources. */
export function mismatch({ version, names }: { readonly version: number; readonly names: string }): string | undefined {
  const found = names.trimEnd().split("\n");
  const missing = kernelNames.filter((name) => !found.includes(name));
  if (missing.length > 0) return `kernels that are missing: ${missing.join(", ")}`;
  if (found.length !== kernelNames.length) return `${found.length} kernels instead of ${kernelNames.length}`;
  return version === kernelsVersion ? undefined : `version ${version} instead of ${kernelsVersion}`;
}

/** The kernels' numbers as the compiled kernels give them, which must be the ones known here. */
function checkedNames(names: string): Record<KernelName, number> {
  const wrong = mismatch({ version: kernelsVersion, names });
  if (wrong !== undefined) throw internal(`the compiled kernels are not this version's (${wrong}); rebuild them with \`npm run build\``);
  const found = names.split("\n");
  return Object.fromEntries(kernelNames.map((name) => [name, found.indexOf(name)])) as Record<KernelName, number>;
}
