import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryTinyModel } from "../../test/tiny-model.ts";
import { openReference } from "../device/reference/reference.ts";
import { collect } from "../generation/fake.testing.ts";
import { nodeFolder, nodeFolderWriter } from "../host/node-files.ts";
import type { Engine } from "./engine.ts";
import { loadEngine } from "./load.ts";
import { saveModel } from "./save.ts";

const stories = "../shared/data/stories260K";
const noData = !existsSync(stories);

async function tokens(engine: Engine): Promise<number[]> {
  const { steps } = await collect(engine.generate("Once upon", { seed: 9, maxTokens: 40 }));
  return steps.map((step) => step.token.id);
}

/** Loads, saves, loads what was saved: the tokens both sample. */
async function thereAndBack(path: string): Promise<{ first: number[]; second: number[] }> {
  const saved = await mkdtemp(join(tmpdir(), "vitrine-saved-"));
  const device = openReference();
  try {
    const engine = await loadEngine(nodeFolder(path), device);
    await saveModel(engine.model, nodeFolderWriter(saved), { tokenizer: nodeFolder(path) });
    const again = await loadEngine(nodeFolder(saved), device);
    expect(again.model.config).toEqual(engine.model.config);
    expect(await again.predict("Once").then((next) => next.logits)).toEqual(await engine.predict("Once").then((next) => next.logits));
    const result = { first: await tokens(engine), second: await tokens(again) };
    engine.dispose();
    again.dispose();
    return result;
  } finally {
    await rm(saved, { recursive: true, force: true });
  }
}

describe("load(save(model)) samples the same tokens", () => {
  test("of a GPT-2", async () => {
    const model = await temporaryTinyModel();
    const { first, second } = await thereAndBack(model.path);
    expect(second).toEqual(first);
    await model.remove();
  });

  test.skipIf(noData)(`of a Llama${noData ? " (skipped: ../shared/data is not here)" : ""}`, async () => {
    const { first, second } = await thereAndBack(stories);
    expect(second).toEqual(first);
  });
});
