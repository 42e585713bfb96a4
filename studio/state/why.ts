/** The answer to "why this number?": what the why card shows for whatever is selected. */

/** computed: the model's own number. derived: worked out from such numbers here. illustrative: an example, chosen by hand. */
export type Provenance = "computed" | "derived" | "illustrative";

export interface Operand {
  /** As in the formula, KaTeX. */
  readonly symbol: string;
  readonly name: string;
  readonly value: string;
}

export interface Why {
  /** Stable for one place on screen, so that the selected number can be framed. */
  readonly key: string;
  readonly title: string;
  readonly value: string;
  readonly provenance: Provenance;
  /** One or two plain sentences. */
  readonly story: string;
  /** KaTeX; shown from depth "numbers" on. */
  readonly formula?: string;
  readonly operands?: readonly Operand[];
  /** The same number by the library and on the command line; shown at depth "code". */
  readonly code?: { readonly library: string; readonly command: string };
}
