/** How likely the model finds every token of a given text, its loss and its perplexity. `node tools/run.mjs examples/06-score-a-sentence.ts [MODEL] [TEXT]` */
import { loadModel } from "vitrine";

const [name, text = "Once upon a time, there was a little girl named Lily."] = process.argv.slice(2);
const model = await loadModel(name);

let bits = 0;
let count = 0;
for await (const step of model.score(text)) {
  if (!("probability" in step)) console.log(JSON.stringify(step.token.text).padEnd(12), "(nothing stands before it)");
  else {
    console.log(JSON.stringify(step.token.text).padEnd(12), `${(100 * step.probability).toFixed(2).padStart(6)} %  choice ${step.rank}`);
    bits -= step.logprob / Math.LN2;
    count++;
  }
}
if (count > 0) console.log(`loss ${((bits / count) * Math.LN2).toFixed(3)} nats a token, perplexity ${(2 ** (bits / count)).toFixed(1)}`);
model.dispose();
