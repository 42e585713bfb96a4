/** How byte-pair encoding gets there: every merge, one by one. `node tools/run.mjs examples/02-merges-one-by-one.ts [MODEL] [TEXT]` */
import { loadTokenizer } from "vitrine";

const [model, text = "the cleverest thinker"] = process.argv.slice(2);
const tokenizer = await loadTokenizer(model);

for (const steps of tokenizer.merges(text)) {
  for (const { pieces, at, rank } of steps) {
    const shown = pieces.map((piece, index) => (index === at ? `[${piece}]` : piece)).join(" ");
    console.log(rank < 0 ? shown : `${shown}   rule ${rank}`);
  }
  console.log();
}
