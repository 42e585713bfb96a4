/** Text becomes tokens, tokens are numbers: the pieces a model reads. `node tools/run.mjs examples/01-encode-text.ts [MODEL] [TEXT]` */
import { loadTokenizer } from "vitrine";

const [model, text = "To date, the cleverest thinker of all time was"] = process.argv.slice(2);
const tokenizer = await loadTokenizer(model);

for (const id of tokenizer.encode(text)) {
  const { text: piece, bytes } = tokenizer.token(id);
  console.log(String(id).padStart(6), JSON.stringify(piece).padEnd(16), [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" "));
}
console.log("and back:", tokenizer.decode(tokenizer.encode(text)));
