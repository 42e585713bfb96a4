/** What each layer would say if the model ended there, and who pushes the final word. `node tools/run.mjs examples/10-logit-lens.ts [MODEL] [TEXT]` */
import { contributions, loadModel, logitLens, rankLadder } from "vitrine";

const [name, text = "Once upon a time, there was a little"] = process.argv.slice(2);
const engine = await loadModel(name);
const { model, tokenizer } = engine;
const ids = tokenizer.encode(text);
const say = (id: number): string => JSON.stringify(tokenizer.token(id).text);

const last = ids.length - 1;
const lens = await logitLens(model, ids, { positions: [last], top: 3 });
for (const [s, { name }] of lens.stages.entries()) {
  const best = Array.from({ length: lens.top }, (_, n) => s * lens.top + n);
  console.log(name.padEnd(26), best.map((at) => `${say(lens.ids[at])} ${(100 * lens.probabilities[at]).toFixed(0)} %`).join("  "));
}

console.log("\nranks, stage by stage, of every token that led at some stage:");
for (const { id, ranks } of rankLadder(lens, last)) console.log(say(id).padEnd(12), ranks.join(" "));

const { target, logit, pushes } = await contributions(model, ids, { relative: true });
console.log(`\n${say(target)} is ${logit.toFixed(2)} above the average token; most of it comes from`);
const strongest = pushes.toSorted((a, b) => b.amount - a.amount).slice(0, 5);
for (const { kind, layer, head, amount } of strongest)
  console.log(`${amount.toFixed(2).padStart(7)}  ${kind}${layer < 0 ? "" : ` ${layer}`}${head < 0 ? "" : `.${head}`}`);
engine.dispose();
