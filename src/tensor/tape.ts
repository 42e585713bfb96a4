/**
 * The tape: what makes gradients. While one records, every op notes what it did; `backward` goes through the notes from the last
 * to the first and lets each op hand the gradient of its result on to what it was made from (reverse-mode differentiation).
 *
 * - Only what leads to something learned is noted: an op whose inputs are all constants leaves no trace and keeps nothing alive.
 * - What is learned is named at the start, each with the place its gradient is added to. Gradients accumulate over several passes
 *   until somebody clears them.
 * - An op that needs numbers of the forward pass retains them; scopes may close meanwhile. Everything is given back as
 *   `backward` passes it, and the rest with `dispose`.
 * - A gradient belongs to the numbers, not to the tensor around them: views share it.
 * - Two inputs may be given one gradient (`add` does). Nobody writes into memory that more than one handle holds: ask `overwrite`.
 * - An op without a way back refuses what is wanted (`refuse`): a gradient is never cut off in silence.
 */
import { internal, VitrineError } from "../base/errors.ts";
import type { DeviceBuffer, Matrix } from "../device/device.ts";
import type { Weights } from "../device/training-kernels.ts";
import { permanent, Tensor } from "./tensor.ts";
import type { Disposable } from "./scope.ts";

/** What an op does on the way back: from the gradient of its result to those of its inputs, by `tape.give` and `tape.addingTo`. */
export type Backward = (dY: Tensor, tape: Tape) => void;

interface Note {
  readonly of: DeviceBuffer;
  readonly retained: readonly Disposable[];
  readonly backward: Backward;
}

let current: Tape | undefined;

function withTape<R>(tape: Tape | undefined, work: () => R): R {
  const before = current;
  current = tape;
  try {
    return work();
  } finally {
    current = before;
  }
}

/** The tape that records now, if one does. */
export function recording(): Tape | undefined {
  return current;
}

/** The tape that records now, if one of these leads to something it learns: the op then has to `note` what it did. */
export function tapeFor(...inputs: readonly (Tensor | Matrix | null)[]): Tape | undefined {
  if (!current) return undefined;
  let wanted = false;
  for (const input of inputs) if (input && current.wants(input)) wanted = true; // all are asked: `wants` may refuse
  return wanted ? current : undefined;
}

/** For ops that have no way back: throws when a gradient would have to go through. */
export function refuse(op: string, ...inputs: readonly (Tensor | null)[]): void {
  if (tapeFor(...inputs)) throw internal(`${op} has no way back, and something learned leads to its input`);
}

export class Tape {
  readonly #learned: ReadonlyMap<Weights, Weights>;
  readonly #notes: Note[] = [];
  /** Results that lead to something learned. */
  readonly #tracked = new Set<DeviceBuffer>();
  readonly #gradients = new Map<DeviceBuffer, Tensor>();
  readonly #held: Disposable[] = [];
  readonly #trunk: Tape | undefined;

  /** `learned`: each matrix or vector to learn, with the one of the same size its gradient is added to. `trunk`: see `branch`. */
  constructor(learned: ReadonlyMap<Weights, Weights>, trunk?: Tape) {
    this.#learned = learned;
    this.#trunk = trunk;
  }

  /** Runs `forward` with every op noted. One tape records at a time. */
  record<R>(forward: () => R): R {
    if (current) throw internal("a tape is recording already");
    return withTape(this, forward);
  }

  /** Runs `work` unnoticed: what is computed on the way back, or is not to be learned from. */
  pause<R>(work: () => R): R {
    return withTape(undefined, work);
  }

  /**
   * A tape for a stretch of its own that begins with x (recompute.ts): it learns what this one learns and, if `dX` is given, x.
   * A gradient of anything else this tape follows would have nowhere to go: that is refused.
   */
  branch(x: Tensor, dX: Tensor | undefined): Tape {
    return new Tape(dX ? new Map([...this.#learned, [x.buffer, dX.buffer]]) : this.#learned, this);
  }

  /** Where the gradient of a matrix is added up; undefined when it is not learned. */
  gradientOf(weights: Matrix): Matrix | undefined {
    return this.#learned.get(weights) as Matrix | undefined;
  }

  /** Whether a gradient for this leads anywhere. */
  wants(x: Tensor | Matrix): boolean {
    if (!(x instanceof Tensor)) return this.#learned.has(x);
    if (this.#tracked.has(x.buffer) || this.#learned.has(x.buffer)) return true;
    if (this.#trunk?.wants(x)) throw internal("a stretch that is computed again uses something else that is learned from than its input");
    return false;
  }

  /**
   * Notes how `y` was made; `retained` tensors keep their numbers until the note has been used.
   * Only for what leads to something learned: ask `tapeFor` first.
   */
  note(y: Tensor, retained: readonly Tensor[], backward: Backward): void {
    this.#tracked.add(y.buffer);
    this.#notes.push({ of: y.buffer, retained: retained.map((tensor) => tensor.retain()), backward });
  }

  /** Keeps something until the tape is disposed: what a whole pass shares, as its positions. */
  hold(disposable: Disposable): void {
    this.#held.push(disposable);
  }

  /**
   * Hands `gradient`, of as many numbers as x, on to x. The handle belongs to the tape from now on; its numbers may be others' too.
   * The first becomes x's gradient, further ones are added to it. For something learned it is added to its place. What nobody wants is dropped.
   */
  give(x: Tensor, gradient: Tensor): void {
    const place = this.#learned.get(x.buffer) as DeviceBuffer | undefined;
    const before = this.#gradients.get(x.buffer);
    const { kernels } = x.device;
    if (place) kernels.add(place, place, gradient.buffer, place.length);
    else if (!before && this.#tracked.has(x.buffer)) {
      this.#gradients.set(x.buffer, gradient);
      return;
    } else if (before) {
      const sum = before.shared ? overwrite(gradient) : before.retain();
      kernels.add(sum.buffer, before.buffer, gradient.buffer, sum.buffer.length);
      this.#gradients.set(x.buffer, sum);
      before.dispose();
    }
    gradient.dispose();
  }

  /**
   * Where a kernel that adds may add a gradient of x: its place if x is learned, else the gradient it has so far, at first zeros.
   * Null when nobody wants it.
   */
  addingTo(x: Tensor): DeviceBuffer | null {
    const place = this.#learned.get(x.buffer) as DeviceBuffer | undefined;
    if (place) return place;
    if (!this.#tracked.has(x.buffer)) return null;
    const before = this.#gradients.get(x.buffer);
    if (before && !before.shared) return before.buffer;
    const own = permanent(x.device, x.shape);
    if (before) x.device.kernels.copy(own.buffer, 0, before.buffer, 0, own.buffer.length);
    else x.device.kernels.fill(own.buffer, 0);
    before?.dispose();
    this.#gradients.set(x.buffer, own);
    return own.buffer;
  }

  /**
   * From the losses back to everything learned. `seed` has losses' shape: how much each counts (1 / N for a mean).
   * Afterwards the tape is empty and may record anew. Throws VitrineError when the losses depend on nothing that is learned.
   */
  backward(losses: Tensor, seed: Tensor): void {
    if (!this.#tracked.has(losses.buffer))
      throw new VitrineError("backward: the loss depends on nothing that is learned; was it computed while the tape recorded?");
    if (seed.buffer.length !== losses.buffer.length)
      throw internal(`backward: ${seed.buffer.length} numbers say how much each of ${losses.buffer.length} losses counts`);
    this.#gradients.set(losses.buffer, seed.retain()); // the caller's own handle stays good
    try {
      this.pause(() => {
        for (let note = this.#notes.pop(); note; note = this.#notes.pop()) this.#goThrough(note);
      });
    } finally {
      this.dispose();
    }
  }

  #goThrough({ of, retained, backward }: Note): void {
    const dY = this.#gradients.get(of);
    this.#gradients.delete(of);
    try {
      if (dY) backward(dY, this);
    } finally {
      dY?.dispose();
      for (const tensor of retained) tensor.dispose();
    }
  }

  /** Gives everything back, whether or not `backward` ran. */
  dispose(): void {
    for (const { retained } of this.#notes.splice(0)) for (const tensor of retained) tensor.dispose();
    for (const gradient of this.#gradients.values()) gradient.dispose();
    this.#gradients.clear();
    this.#tracked.clear();
    for (const held of this.#held.splice(0)) held.dispose();
  }
}

/** A tensor for a gradient of x, outside any scope: for `Tape.give`. Its numbers are undefined. */
export function gradientLike(x: Tensor): Tensor {
  return permanent(x.device, x.shape);
}

/**
 * A tensor of as many numbers as `spent`, for a kernel that may work in place: `spent`'s own memory when nobody else holds it, else fresh.
 * For gradients, and for retained tensors at their last use; give the result to the tape.
 */
export function overwrite(spent: Tensor): Tensor {
  return spent.shared ? gradientLike(spent) : spent.retain();
}
