/** Which earlier tokens the last one looks at: a tap on every attention pattern. `node tools/run.mjs examples/08-listen-to-attention.ts [MODEL] [TEXT]` */
import { loadModel, taps } from "vitrine";

const [name, text = "Once upon a time, there was a little girl"] = process.argv.slice(2);
const engine = await loadModel(name);
const { model, tokenizer } = engine;
const ids = tokenizer.encode(text);
const T = ids.length;

const patterns: Promise<Float32Array>[] = []; // (1, H, T, T) each
const listening = taps(model.config, { "blocks.*.attn.hook_pattern": (pattern) => void patterns.push(pattern.read()) });
model.forward([ids], { taps: listening }).dispose();

for (const [layer, pattern] of (await Promise.all(patterns)).entries()) {
  for (let head = 0; head < model.config.heads; head++) {
    const row = pattern.subarray((head * T + T - 1) * T, (head * T + T) * T); // the last token's view
    const most = row.indexOf(Math.max(...row));
    console.log(
      `layer ${layer} head ${head}: ${(100 * row[most]).toFixed(0).padStart(3)} % on ${JSON.stringify(tokenizer.token(ids[most]).text)} (token ${most})`,
    );
  }
}
engine.dispose();
