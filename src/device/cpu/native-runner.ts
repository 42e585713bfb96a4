/**
 * The kernels as a native add-on (kernels/native.c) on a WebAssembly.Memory that no WebAssembly runs on, so that heap and addresses
 * are the same as in a page. Loading the add-on, and why it may be missing, is the host's business.
 */
import { internal, nearest, quoted, VitrineError } from "../../base/errors.ts";
import { makeMemory, type Runner } from "./runner.ts";

/** What kernels/native.c exports. */
export interface NativeKernels {
  /** KERNELS_VERSION of kernels/table.h. */
  readonly version: number;
  readonly kernelNames: string;
  /** Those that were built and that this processor has, slowest first. */
  readonly instructionSets: readonly string[];
  /** `job`: byte where `run` finds kernel, chunks and args. `spin`: nanoseconds to look for work before sleeping. */
  open(memory: Uint8Array, job: number, instructionSet: string, threads: number, spin: number): NativeDevice;
}

interface NativeDevice {
  /** As many as the system granted. */
  readonly threads: number;
  run(): void;
  attach(memory: Uint8Array): void;
  close(): void;
}

/** Every set there can be, as people write it. */
const instructionNames: Readonly<Record<string, string>> = {
  sse2: "SSE2",
  avx2: "AVX2",
  avxvnni: "AVX-VNNI",
  avx512: "AVX-512",
  avx512vnni: "AVX-512-VNNI",
  neon: "NEON",
  neondot: "NEON-dot",
};

/** Where the words of a job lie; the heap begins behind. */
const job = 64;
const start = 128;
/** Longer looking-out costs more beside busy programs than waking sleepers costs alone. Found by sweep, docs/log.md. */
const spinNanoseconds = 10_000;
/** Twice WebAssembly's: the same work takes half as long or less, and waking costs the same. */
const splitAbove = 500_000;

/** Throws VitrineError for an instruction set that the processor or the add-on does not have. */
export function openNativeRunner(native: NativeKernels, threads: number, instructionSet?: string): Runner {
  const set = chosenSet(native, instructionSet);
  const { memory, limit } = makeMemory(false);
  const device = native.open(new Uint8Array(memory.buffer), job, set, threads, spinNanoseconds);
  let words = new Int32Array(memory.buffer);
  return {
    name: "native",
    instructions: instructionNames[set] ?? set,
    threads: device.threads,
    kernelNames: native.kernelNames,
    memory,
    start,
    limit,
    splitAbove,
    run(kernel, args, chunks) {
      words[job / 4] = kernel;
      words[job / 4 + 1] = chunks;
      words[job / 4 + 2] = args;
      device.run();
    },
    grown() {
      words = new Int32Array(memory.buffer);
      device.attach(new Uint8Array(memory.buffer));
    },
    dispose: () => device.close(),
  };
}

function chosenSet({ instructionSets }: NativeKernels, asked: string | undefined): string {
  if (instructionSets.length === 0) throw internal("the native kernels hold no instruction set that this processor has");
  if (asked === undefined) return instructionSets.at(-1)!;
  if (instructionSets.includes(asked)) return asked;
  const here = instructionSets.join(", ");
  if (asked in instructionNames)
    throw new VitrineError(`instruction set ${asked}: this processor, or this build of the native kernels, does not have it; there are: ${here}`);
  const meant = nearest(asked, instructionSets);
  throw new VitrineError(`there is no instruction set ${quoted(asked)}${meant === undefined ? "." : `; did you mean ${meant}?`} There are: ${here}`);
}
