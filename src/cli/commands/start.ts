/**
 * What a bare `npm start` does: the main job, on the model at hand, with every distribution on show, and where to go from there.
 */
import { interrupted } from "../errors.ts";
import type { Session } from "../session.ts";
import { generate } from "./generate.ts";

const prompt = "Once upon a time";

/** Watched by a person it takes its time; through a pipe it runs at full speed. */
const pace = 0.12;

/** Generates a short text with every distribution, then names the commands to go on with. Gives the exit code. */
export async function start(session: Session): Promise<number> {
  const { out } = session;
  const { paint, isTTY } = out.terminal;
  await out.line(paint.bold("Vitrine: a GPT in a glass case."));
  await out.line("A model reads a text, gives every token of its vocabulary a probability to come next,");
  await out.line("and one of them is drawn. Then it reads the longer text, and so on:\n");
  const code = await generate(session, prompt, { temperature: 0.8, maxTokens: 60, show: 8, seed: 13, pace: isTTY ? pace : 0, echo: true });
  if (code === interrupted || out.gone.aborted) return code;
  const tries = [
    ["the same in your browser, with everything inside to look at", "studio"],
    ["always the favourite word: the same story every time", `generate "${prompt}" --temperature 0 --show 12`],
    ["flat bars, wild words", `generate "${prompt}" --temperature 3 --show 12`],
    ["where the 175 billion weights of GPT-3 are", "params gpt3"],
  ];
  await out.line(`\n${paint.bold("What to try next:")}`);
  for (const [what, words] of tries) await out.line(`  npm start -- ${words}\n      ${paint.dim(what)}`);
  return code;
}
