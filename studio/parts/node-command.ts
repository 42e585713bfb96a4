/** Node as the command that prints a number, where vitrine has none. Pure. */
import { shellWord } from "../state/format.ts";

/** The library's calls, with the `names` they import, and their value printed. */
export function nodeCommand(names: string, calls: readonly string[], value: string): string {
  const script = [`import { ${names} } from "vitrine";`, ...calls, `console.log(${value});`, "process.exit();"].join(" ");
  return `node --input-type=module -e ${shellWord(script)}`;
}
