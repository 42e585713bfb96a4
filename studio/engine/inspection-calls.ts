/** The questions about the inside of the model, answered by src/inspection. Part of engine-worker.ts. */
import { VitrineError } from "../../src/exports.ts";
import type { LocalEngine } from "../../src/index.browser.ts";
import { headStages, patterns } from "../../src/inspection/attention.ts";
import { capture } from "../../src/inspection/capture.ts";
import { contributions } from "../../src/inspection/contributions.ts";
import { forwardWith } from "../../src/inspection/edits.ts";
import { logitLens } from "../../src/inspection/lens.ts";
import { matrixOf } from "../../src/inspection/matrices.ts";
import { neurons } from "../../src/inspection/neurons.ts";
import { parametersOf } from "../../src/model/families.ts";
import type { CallName, EngineCalls } from "./protocol.ts";
import { readLooks, readSpine } from "./spine.ts";

type InspectionCall = "lens" | "contributions" | "patterns" | "head" | "spine" | "looks" | "neurons" | "capture" | "whatIf" | "matrix" | "matrices";
type Handler<Name extends CallName> = (args: Parameters<EngineCalls[Name]>, signal: AbortSignal) => Promise<ReturnType<EngineCalls[Name]>>;

export function calls(engine: () => LocalEngine): { [Name in InspectionCall]: Handler<Name> } {
  const model = (ids?: readonly number[]): LocalEngine["model"] => {
    const { contextLength } = engine().info;
    if (ids && ids.length > contextLength)
      throw new VitrineError(`this model looks at ${contextLength} tokens at most, and here are ${ids.length}; take a shorter text`);
    return engine().model;
  };
  return {
    lens: async ([ids, options], signal) => logitLens(model(ids), ids, { ...options, signal }),
    contributions: async ([ids, position, target, relative]) => contributions(model(ids), ids, { position, target, relative }),
    patterns: async ([ids, from, to, largest]) => patterns(model(ids), ids, { layers: [from, to], largest: Math.min(largest, ids.length) }),
    head: async ([ids, layer, head]) => headStages(model(ids), ids, layer, head),
    spine: async ([ids, positions]) => readSpine(model(ids), ids, positions),
    looks: async ([ids, layer, positions]) => readLooks(model(ids), ids, layer, positions),
    neurons: async ([ids, layer, position, count]) => neurons(model(ids), ids, layer, { position, count }),
    capture: async ([ids, names]) => [...(await capture(model(ids), ids, names)).values()],
    whatIf: async ([ids, edits]) => ({ logits: await forwardWith(model(ids), ids, edits), forgotten: 0 }),
    matrix: async ([which, rows, columns]) => matrixOf(model(), which, rows, columns),
    matrices: async () => parametersOf(model().config).map(({ name, shape }) => ({ name, shape })),
  };
}
