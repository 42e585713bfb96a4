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
  }),
  take: (asked) => {
    table.source = asked.one("source", ["text", "own"]) ?? table.source;
    table.own = asked.text("own", longestOwn) ?? table.own;
    table.cut = asked.one("cut", ["tokens", "words"]) ?? table.cut;
    const beside = asked.text("beside");
    if (beside !== undefined && isBeside(beside)) table.beside = beside;
    table.picked = asked.whole("opened", 0, 1e6);
  },
});

function isBeside(name: string): name is Beside {
  return /^(none|characters|bytes|(embedded|kept):.+)$/s.test(name);
}
