/** The questions about the inside of the model, answered by src/inspection. Part of engine-worker.ts. */
import type { LocalEngine } from "../../src/index.browser.ts";
import { VitrineError } from "../../src/exports.ts";
import type { CallName, EngineCalls } from "./protocol.ts";

type InspectionCall = "lens" | "contributions" | "patterns" | "head" | "neurons" | "capture" | "whatIf" | "matrix" | "matrices";
type Handler<Name extends CallName> = (args: Parameters<EngineCalls[Name]>, signal: AbortSignal) => Promise<ReturnType<EngineCalls[Name]>>;

export function calls(_engine: () => LocalEngine): { [Name in InspectionCall]: Handler<Name> } {
  const later = async (): Promise<never> => {
    throw new VitrineError("inspection is not merged yet");
  };
  return { lens: later, contributions: later, patterns: later, head: later, neurons: later, capture: later, whatIf: later, matrix: later, matrices: later };
}
