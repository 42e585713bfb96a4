/** The weights of a model by what they do, as in the lecture's tally of GPT-3. `node tools/run.mjs examples/07-where-the-weights-are.ts [MODEL]` */
import { loadModel, presetConfig, tally } from "vitrine";

const model = await loadModel(process.argv[2]);

for (const { name, rows, weights, matrices } of [model.tally("exact"), tally(presetConfig("gpt3"), "video", "GPT-3")]) {
  console.log(`\n${name}`);
  for (const row of rows) console.log(row.category.padEnd(16), row.numbers.padStart(42), row.weights.toLocaleString("en").padStart(18));
  console.log("Total".padEnd(16), `${matrices.toLocaleString("en")} matrices`.padStart(42), weights.toLocaleString("en").padStart(18));
}
model.dispose();
