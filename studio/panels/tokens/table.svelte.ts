/** What this panel remembers while the visitor looks at another one. */

export type Beside = "none" | "characters" | "bytes" | `embedded:${string}` | `kept:${string}`;

class CuttingTable {
  source: "text" | "own" = $state("text");
  own: string = $state("To date, the cleverest thinker of all time was");
  cut: "tokens" | "words" = $state("tokens");
  beside: Beside = $state("none");
  /** The piece in the light, where it is not the tape's. */
  picked: number | undefined = $state(undefined);
}

export const table = new CuttingTable();
