/** One prompt at three temperatures: always the favourite, the model's own chances, nearly dice. `node tools/run.mjs examples/05-temperature.ts [MODEL] [TEXT]` */
import { loadModel } from "vitrine";

const [name, text = "Once upon a time, there was a"] = process.argv.slice(2);
const model = await loadModel(name);

for (const temperature of [0, 1, 5]) {
  let story = text;
  for await (const step of model.generate(text, { maxTokens: 40, temperature, seed: 1 })) story += step.text;
  console.log(`T = ${temperature}:`, story, "\n");
}
model.dispose();
