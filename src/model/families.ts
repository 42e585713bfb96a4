/** The families there are, by ModelConfig.family. */
import type { ModelConfig } from "./config.ts";
import type { Family } from "./family.ts";
import { gpt2 } from "./gpt2.ts";
import { llama } from "./llama.ts";
import type { Parameter } from "./parameters.ts";

const families: Readonly<Record<ModelConfig["family"], Family>> = { gpt2, llama };

export function familyOf(config: ModelConfig): Family {
  return families[config.family];
}

/** Every tensor of a checkpoint of this config, in file order. */
export function parametersOf(config: ModelConfig): Parameter[] {
  return familyOf(config).parameters(config);
}
