/** A sampler's settings as flags of the command and as a call of the library. Pure. What is at the library's default is left out. */
import type { Sampling } from "../engine/protocol.ts";

export function samplingFlags({ temperature, topK, topP, minP }: Sampling): string {
  const flags = [` --temperature ${temperature}`];
  if (topK > 0) flags.push(` --top-k ${topK}`);
  if (topP < 1) flags.push(` --top-p ${topP}`);
  if (minP > 0) flags.push(` --min-p ${minP}`);
  return flags.join("");
}

/** `sampler({ temperature: 0.8, topK: 40 })` */
export function samplerCall({ temperature, topK, topP, minP }: Sampling): string {
  const options = [`temperature: ${temperature}`];
  if (topK > 0) options.push(`topK: ${topK}`);
  if (topP < 1) options.push(`topP: ${topP}`);
  if (minP > 0) options.push(`minP: ${minP}`);
  return `sampler({ ${options.join(", ")} })`;
}
