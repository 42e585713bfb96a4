/** The rows of attentions and MLPs, one below the other, by their names on screen: "attention.1.7" is attention of layer 1 at position 7. Pure. */

type Part = "attention" | "mlp";

interface RowPlace {
  readonly row: string;
  readonly layer: number;
  readonly part: Part;
}

/** The row above (step -1) or below (1). From the rows around the layers, the first or the last of them. Undefined where none is. */
export function rowBeside(row: string, step: 1 | -1, layers: number): RowPlace | undefined {
  const [name, ...numbers] = row.split(".");
  const position = numbers[numbers.length - 1];
  const at = name === "attention" || name === "mlp" ? Number(numbers[0]) * 2 + (name === "mlp" ? 1 : 0) : name === "final" ? layers * 2 : -1;
  const to = at + step;
  if (to < 0 || to >= layers * 2) return undefined;
  const [layer, part] = [Math.floor(to / 2), to % 2 === 0 ? "attention" : "mlp"] as const;
  return { row: `${part}.${layer}.${position}`, layer, part };
}

/** One step from the layers that are `drawn` towards the `wanted` ones: what is not wanted goes, at most `most` come, those in the middle first. */
export function grown(drawn: readonly number[], wanted: readonly number[], most: number): number[] {
  const middle = (Math.min(...wanted) + Math.max(...wanted)) / 2;
  const missing = wanted.filter((layer) => !drawn.includes(layer)).toSorted((a, b) => Math.abs(a - middle) - Math.abs(b - middle));
  return [...drawn.filter((layer) => wanted.includes(layer)), ...missing.slice(0, most)];
}
