/** The state of a run as JSON: checked when it comes back from a file, and compared with what a resume asks for. */
import { FormatError, VitrineError } from "../base/errors.ts";
import { describe, isJsonObject, parseJsonObject } from "../base/json.ts";
import type { JsonObject } from "../base/json.ts";
import { randomFrom } from "../base/random.ts";
import type { RandomState } from "../base/random.ts";
import { trainSettings } from "./settings.ts";
import type { TrainSettings } from "./settings.ts";
import type { TrainOptions, TrainState } from "./training.ts";

/** How messages about a checkpoint that cannot be read end. */
export const damage =
  "the checkpoint is damaged; the model or adapter beside it still opens, and a new run in another folder can begin from it (an adapter once it is merged)";

/** `name` is the file, for messages. Throws FormatError. */
export function parseState(name: string, text: string): TrainState {
  const json = parseJsonObject(name, text);
  const refuse = (field: string, value: unknown, expected: string): never => {
    throw new FormatError(`${name}: ${field} is ${describe(value)}, expected ${expected}; ${damage}`);
  };
  const whole = (field: string): number => {
    const value = json[field];
    return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : refuse(field, value, "a whole number");
  };
  const string = (field: string): string => (typeof json[field] === "string" ? json[field] : refuse(field, json[field], "a text"));
  const object = (field: string): JsonObject => {
    const value = json[field];
    return isJsonObject(value) ? value : refuse(field, value, "an object");
  };
  const best = json.bestLoss;
  const bestLoss = best === null || (typeof best === "number" && Number.isFinite(best)) ? best : refuse("bestLoss", best, "a number or null");
  const state = {
    step: whole("step"),
    random: randomState(json.random) ?? refuse("random", json.random, "four words of 32 bits"),
    bestLoss,
    bestStep: whole("bestStep"),
    evaluated: whole("evaluated"),
    data: string("data"),
    model: object("model"),
    device: string("device"),
    options: settingsOf(name, object("options")),
  };
  if (state.step > state.options.steps) refuse("step", state.step, `at most ${state.options.steps}, the steps in all`);
  return state;
}

function randomState(value: unknown): RandomState | undefined {
  try {
    const state = value as RandomState;
    randomFrom(state.slice(0, 4) as unknown as RandomState);
    return state.length === 4 ? state : undefined;
  } catch {
    return undefined;
  }
}

function settingsOf(name: string, options: JsonObject): TrainSettings {
  try {
    const settings = trainSettings(options as unknown as TrainOptions, Number(options.context));
    if (Object.keys(settings).every((key) => typeof options[key] === typeof settings[key as keyof TrainSettings])) return settings;
  } catch (cause) {
    if (!(cause instanceof VitrineError)) throw cause;
  }
  throw new FormatError(`${name}: its options are not those of a run; ${damage}`);
}

/** What may differ between a run and its going on: it changes no number that is learned. */
const free: ReadonlySet<string> = new Set(["evaluateEvery", "evaluateBatches", "saveEvery", "recompute"]);

/**
 * Throws VitrineError naming everything in which a resume differs from the run it resumes. With `extend` another schedule is fine:
 * other `steps`, as long as they are not below those done, learning rates, warm-up and clipping.
 */
export function checkSameRun(where: string, saved: TrainState, now: Pick<TrainState, "data" | "model" | "options">, extend: boolean): void {
  const differences: string[] = [];
  const compare = (what: string, before: unknown, after: unknown): void => {
    if (JSON.stringify(before) !== JSON.stringify(after)) differences.push(`${what} ${show(before)} there and ${show(after)} here`);
  };
  for (const key of new Set([...Object.keys(saved.model), ...Object.keys(now.model)]))
    compare(`the model's ${key}`, saved.model[key], now.model[key]);
  // An extended run goes on by another schedule: how long, how fast, how carefully.
  const scheduled = new Set(extend ? ["steps", "warmup", "learningRate", "leastLearningRate", "clip"] : []);
  for (const key of Object.keys(now.options) as (keyof TrainSettings)[])
    if (!free.has(key) && !scheduled.has(key)) compare(key, saved.options[key], now.options[key]);
  if (saved.data !== now.data) differences.push("another text or tokenizer");
  if (differences.length > 0) {
    const stepsOnly = differences.length === 1 && differences[0].startsWith("steps ");
    const cure = stepsOnly ? "to train on for longer, ask for it (the schedule changes)" : "use the same, or start a new run in another folder";
    throw new VitrineError(`resume: ${where} holds another run: ${differences.join("; ")}; ${cure}`);
  }
  if (now.options.steps < saved.step)
    throw new VitrineError(`resume: ${where} is at step ${saved.step} already; ask for more than ${now.options.steps} steps`);
}

function show(value: unknown): string {
  return typeof value === "number" || typeof value === "boolean" ? String(value) : describe(value);
}
