/** Predict, sample, append, repeat, with what stood behind each word. `node tools/run.mjs examples/04-generate.ts [MODEL] [TEXT]` */
import { loadModel } from "vitrine";

const [name, text = "Once upon a time"] = process.argv.slice(2);
const model = await loadModel(name);

let story = text;
for await (const step of model.generate(text, { maxTokens: 24, temperature: 0.9, topP: 0.95, seed: 7 })) {
  const others = step.distribution.top(4).filter(({ id }) => id !== step.token.id);
  const shown = others.map(({ id, probability }) => `${JSON.stringify(model.tokenizer.token(id).text)} ${(100 * probability).toFixed(0)} %`);
  console.log(
    JSON.stringify(step.token.text).padEnd(12),
    `${(100 * step.probability).toFixed(1).padStart(5)} %  choice ${step.rank}`,
    ` instead of ${shown.join(", ")}`,
  );
  story += step.text;
}
console.log(`\n${story}`);
model.dispose();
