/** What this panel remembers while the visitor looks at another one; the address holds it, too. */
import { views } from "../../state/views.svelte.ts";

export type Beside = "none" | "characters" | "bytes" | `embedded:${string}` | `kept:${string}`;

class CuttingTable {
  source: "text" | "own" = $state("text");
  own: string = $state("To date, the cleverest thinker of all time was");
  cut: "tokens" | "words" = $state("tokens");
  beside: Beside = $state("none");
  /** The piece in the light, where it is not the tape's. */
  picked: number | undefined = $state(undefined);
  /** Merges made so far of the piece in the light; undefined = all. */
  step: number | undefined = $state(undefined);

  #stretch: string | undefined;

  /** The stretch in the light, as it ends. Another one than before is shown whole; gives whether it is another. The first keeps an address's step. */
  grows(stretch: string): boolean {
    const other = this.#stretch !== undefined && this.#stretch !== stretch;
    if (other) this.step = undefined;
    this.#stretch = stretch;
    return other;
  }

  /** Another text: its own piece is in the light. */
  forgetPiece(): void {
    this.picked = this.step = undefined;
  }
}

export const table = new CuttingTable();

/** A longer text of one's own stays out of the address. */
const longestOwn = 2000;

views.describe("tokens", {
  tell: () => ({
    source: table.source,
    own: table.own.length <= longestOwn ? table.own : undefined,
    cut: table.cut,
    beside: table.beside,
    opened: table.picked,
    step: table.step,
  }),
  take: (asked) => {
    table.source = asked.one("source", ["text", "own"]) ?? table.source;
    table.own = asked.text("own", longestOwn) ?? table.own;
    table.cut = asked.one("cut", ["tokens", "words"]) ?? table.cut;
    const beside = asked.text("beside");
    if (beside !== undefined && isBeside(beside)) table.beside = beside;
    table.picked = asked.whole("opened", 0, 1e6);
    table.step = asked.whole("step", 0, 1e4);
  },
});

function isBeside(name: string): name is Beside {
  return /^(none|characters|bytes|(embedded|kept):.+)$/s.test(name);
}
