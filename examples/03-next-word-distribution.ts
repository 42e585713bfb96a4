/** What could come next: the model's whole distribution, the best twelve drawn. `node tools/run.mjs examples/03-next-word-distribution.ts [MODEL] [TEXT]` */
import { loadModel } from "vitrine";

const [name, text = "Once upon a time"] = process.argv.slice(2);
const model = await loadModel(name);
const next = await model.predict(text);

for (const { id, probability } of next.top(12)) {
  const bar = "#".repeat(Math.round(40 * probability));
  console.log(JSON.stringify(model.tokenizer.token(id).text).padEnd(12), `${(100 * probability).toFixed(1).padStart(5)} %`, bar);
}
console.log(`all others   ${(100 * next.rest(12)).toFixed(1).padStart(5)} %`);
console.log(`entropy ${next.entropy().toFixed(2)} of ${Math.log2(model.info.vocabularySize).toFixed(2)} bits`);
model.dispose();
