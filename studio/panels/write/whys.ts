/** Where the numbers of the panel come from, for the why card. */
import { windowStart } from "../../engine/window.ts";
import { nodeCommand } from "../../parts/node-command.ts";
import { generateCommand, modelFlags, predictCalls, scoreWords, sightFlags, textBefore } from "../../parts/same-number.ts";
import { samplerCall, samplingFlags } from "../../parts/sampling-code.ts";
import { percent, shellWord, signed, visible, whole } from "../../state/format.ts";
import { studio } from "../../state/studio.svelte.ts";
import { pathTo, sameKnobs } from "../../state/tree.ts";
import type { Knobs, TreeNode } from "../../state/tree.ts";
import type { Why } from "../../state/why.ts";
import { surprise } from "./candidates.ts";
import type { Row } from "./candidates.ts";
import { t } from "./messages.ts";

/** The ids the model sees when it chooses the token at place `at`. */
function seenIds(at: number): readonly number[] {
  const { forgotten } = studio.path[at] ?? { forgotten: studio.forgotten };
  return studio.ids.slice(forgotten, at);
}

/** The knobs that the draw at place `at` was made with; where nothing was drawn, as they stand now. */
export function knobsAt(at: number): Knobs {
  return (studio.path[at] as TreeNode | undefined)?.drawn ?? studio.knobs;
}

export function ownWhy(row: Row, at: number): Why {
  const { id, text, own, logit, rank } = row;
  return {
    key: `write.own.${id}`,
    title: t("ownTitle", { token: visible(text) }),
    value: percent(own),
    provenance: "computed",
    story: t("ownStory", { token: visible(text), n: rank }),
    formula: String.raw`p_i = \frac{e^{z_i}}{\sum_{j=1}^{V} e^{z_j}}`,
    operands:
      logit === undefined
        ? [{ symbol: "p_i", name: t("probability"), value: own.toPrecision(6) }]
        : [
            { symbol: "z_i", name: t("logit"), value: signed(logit, 4) },
            { symbol: String.raw`\ln \sum_j e^{z_j}`, name: t("logSum"), value: signed(logit - Math.log(own), 4) },
            { symbol: "V", name: t("vocabulary"), value: whole(studio.model?.info.vocabularySize ?? 0) },
            { symbol: "p_i", name: t("probability"), value: own.toPrecision(6) },
          ],
    code: {
      library: `${predictCalls(seenIds(at))}\nnext.probability(${id});`,
      command: generateCommand(at, `${sightFlags(at)} --json --show ${Math.max(12, rank)}`),
    },
  };
}

export function drawnWhy(row: Row, at: number): Why {
  const { id, text, own, drawn = 0, logit } = row;
  const knobs = knobsAt(at);
  const { temperature } = knobs;
  const banned = studio.model?.banned.length ? t("bannedNote") : "";
  return {
    key: `write.drawn.${id}`,
    title: t("drawnTitle", { token: visible(text) }),
    value: percent(drawn),
    provenance: "computed",
    story: (drawn === 0 ? t("drawnNone", { token: visible(text) }) : t("drawnStory", { token: visible(text), own: percent(own) })) + banned,
    formula:
      temperature === 0
        ? String.raw`q_i = \begin{cases} 1 & z_i = \max_j z_j \\ 0 & \text{otherwise} \end{cases}`
        : String.raw`q_i = \frac{e^{z_i / T}}{\sum_{j \in \text{kept}} e^{z_j / T}}`,
    operands: [
      ...(logit === undefined ? [] : [{ symbol: "z_i", name: t("logit"), value: signed(logit, 4) }]),
      { symbol: "T", name: t("temperature"), value: temperature.toFixed(2) },
      { symbol: "p_i", name: t("own"), value: own.toPrecision(6) },
      { symbol: "q_i", name: t("drawn"), value: drawn.toPrecision(6) },
    ],
    code: {
      library: `${predictCalls(seenIds(at))}\n${samplerCall(knobs)}.filter(next, [], []).probability(${id});`,
      command: generateCommand(at, `${sightFlags(at)}${samplingFlags(knobs)} --show ${Math.max(12, row.rank)}`),
    },
  };
}

export function restWhy(rest: number, others: number, rows: readonly Row[], at: number): Why {
  return {
    key: "write.rest",
    title: t("restTitle"),
    value: percent(rest),
    provenance: "derived",
    story: t("restStory", { n: whole(others), k: rows.length }),
    formula: String.raw`1 - \sum_{i \in \text{shown}} p_i`,
    operands: [{ symbol: String.raw`\sum p_i`, name: t("shownSum"), value: percent(1 - rest) }],
    code: {
      library: `${predictCalls(seenIds(at))}\nnext.rest(${rows.length});`,
      command: generateCommand(at, `${sightFlags(at)} --json --show ${rows.length}`),
    },
  };
}

export function surpriseWhy(node: TreeNode, at: number): Why {
  const bits = surprise(node) ?? 0;
  return {
    key: "write.surprise",
    title: t("surpriseTitle", { token: visible(node.token.text) }),
    value: t("bits", { n: bits.toFixed(2) }),
    provenance: "derived",
    story: t("surpriseStory", { token: visible(node.token.text), n: whole(Math.round(2 ** bits)) }),
    formula: String.raw`-\log_2 p`,
    operands: [{ symbol: "p", name: t("probability"), value: (node.probability ?? 0).toPrecision(6) }],
    code: tokenCode(at, `-next.logprob(${node.token.id}) / Math.LN2`, ""),
  };
}

export function rankWhy({ token, rank = 0, probability = 0 }: TreeNode, at: number): Why {
  return {
    key: "write.rank",
    title: t("rankTitle", { token: visible(token.text) }),
    value: whole(rank),
    provenance: "derived",
    story: t("rankStory", { token: visible(token.text), n: whole(rank - 1) }),
    formula: String.raw`r = 1 + \left|\{\, j : p_j > p \,\}\right|`,
    operands: [
      { symbol: "p", name: t("probability"), value: probability.toPrecision(6) },
      { symbol: "V", name: t("vocabulary"), value: whole(studio.model?.info.vocabularySize ?? 0) },
    ],
    code: tokenCode(at, `next.rank(${token.id})`, " --json"),
  };
}

/** `value` of the token at place `at`. `vitrine score` prints it too, unless the token was chosen with a part of the text out of sight. */
function tokenCode(at: number, value: string, flags: string): NonNullable<Why["code"]> {
  const calls = predictCalls(seenIds(at));
  const command = studio.path[at].forgotten > 0 ? nodeCommand("loadModel", [calls], value) : scoreWords(textBefore(at + 1), sightFlags(at) + flags);
  return { library: `${calls}\n${value};`, command };
}

/** In the block view: the candidates that are too thin to be drawn, together. */
export function blockRestWhy(ids: readonly number[], at: number, shown: number, { probability }: { readonly probability: number }, key: string): Why {
  const before = [...studio.ids.slice(0, at), ...ids];
  const calls = predictCalls(before.slice(windowStart(studio.givenBefore(at), before.length, studio.context)));
  return {
    key,
    title: t("restTitle"),
    value: percent(probability),
    provenance: "derived",
    story: t("blockRestStory", { k: shown }),
    formula: String.raw`1 - \sum_{i \in \text{shown}} p_i`,
    operands: [{ symbol: String.raw`\sum p_i`, name: t("shownSum"), value: percent(1 - probability) }],
    code: { library: `${calls}\nnext.rest(${shown});`, command: nodeCommand("loadModel", [calls], `next.rest(${shown})`) },
  };
}

export function sampledWhy(node: TreeNode, at: number): Why {
  const { token, probability = 0, sampledFrom = 0 } = node;
  const { temperature, topK, topP, minP, seed, context } = knobsAt(at);
  const filters = [
    ...(topK > 0 ? [{ symbol: "k", name: "top-k", value: whole(topK) }] : []),
    ...(topP < 1 ? [{ symbol: String.raw`p_{\text{top}}`, name: "top-p", value: String(topP) }] : []),
    ...(minP > 0 ? [{ symbol: String.raw`p_{\min}`, name: "min-p", value: String(minP) }] : []),
    ...(context < (studio.model?.info.contextLength ?? 0) ? [{ symbol: "c", name: t("context"), value: whole(context) }] : []),
  ];
  return {
    key: "write.sampled",
    title: t("drawnTitle", { token: visible(token.text) }),
    value: percent(sampledFrom),
    provenance: "computed",
    story: t("sampledStory", { token: visible(token.text), own: percent(probability) }),
    operands: [
      { symbol: "p", name: t("own"), value: probability.toPrecision(6) },
      { symbol: "q", name: t("drawn"), value: sampledFrom.toPrecision(6) },
      { symbol: "T", name: t("temperature"), value: temperature.toFixed(2) },
      ...filters,
      { symbol: "s", name: t("seed"), value: String(seed) },
    ],
    code: drawCode(node, at),
  };
}

/** The draw itself: the same number of the seed's generator, thrown at the same distribution. */
function drawCode({ token, run }: TreeNode, at: number): NonNullable<Why["code"]> {
  const knobs = knobsAt(at);
  const draws = run?.draws ?? 0;
  const skip = draws > 0 ? `\nfor (let i = 0; i < ${draws}; i++) random.next(); // the draws before` : "";
  const library = [
    predictCalls(seenIds(at)),
    `const drawn = ${samplerCall(knobs)}.filter(next, [], []);`,
    `const random = randomFrom(${knobs.seed});${skip}`,
    `drawn.draw(random.next()); // ${token.id}`,
    `drawn.probability(${token.id});`,
  ].join("\n");
  const flags = `${samplingFlags(knobs)} --seed ${knobs.seed}`;
  if (!isOneCommand(at))
    return { library, command: `${generateCommand(at, `${sightFlags(at)}${flags} --json`)}\n# ${t("otherDraw", { n: draws + 1 })}` };
  const text = textBefore(run!.from);
  const command = `vitrine generate${text === "" ? "" : ` ${shellWord(text)}`}${modelFlags(knobs.context)}${flags} --max-tokens ${draws + 1} --json`;
  return { library, command };
}

/** All draws of the run up to the one at place `at` were made with the same knobs, so that one command makes them again. */
function isOneCommand(at: number): boolean {
  const { run, drawn } = studio.path[at];
  return (
    run !== undefined &&
    drawn !== undefined &&
    studio.path.slice(run.from, at).every((node) => node.drawn !== undefined && sameKnobs(node.drawn, drawn))
  );
}

/** Of the last `count` tokens up to `end`, multiplied. */
export function jointWhy(end: TreeNode, count: number, key: string): Why {
  const all = pathTo(end);
  const own = all.slice(-count);
  const joint = own.reduce((product, { probability = 1 }) => product * probability, 1);
  const shown = own.slice(0, 8);
  return {
    key,
    title: t("jointTitle"),
    value: percent(joint),
    provenance: "derived",
    story: t("jointStory", { n: count }),
    formula: String.raw`p_1 \cdot p_2 \cdots p_n`,
    operands: [
      ...shown.map(({ token, probability = 0 }, i) => ({ symbol: `p_{${i + 1}}`, name: visible(token.text), value: percent(probability) })),
      ...(count > shown.length ? [{ symbol: String.raw`\cdots`, name: t("andMore", { n: count - shown.length }), value: "" }] : []),
    ],
    code: jointCode(
      all.map(({ token }) => token.id),
      own.map(({ forgotten }) => forgotten),
    ),
  };
}

/** A block of the block view: candidates multiplied from the place on. */
export function blockWhy(
  tokens: readonly { readonly text: string; readonly probability: number }[],
  ids: readonly number[],
  at: number,
  key: string,
): Why {
  const joint = tokens.reduce((product, { probability }) => product * probability, 1);
  return {
    key,
    title: t("jointTitle"),
    value: percent(joint),
    provenance: "derived",
    story: t("jointStory", { n: tokens.length }),
    formula: String.raw`p_1 \cdot p_2 \cdots p_n`,
    operands: tokens.map(({ text, probability }, i) => ({ symbol: `p_{${i + 1}}`, name: visible(text), value: percent(probability) })),
    code: jointCode(
      [...studio.ids.slice(0, at), ...ids],
      ids.map((_, i) => windowStart(studio.givenBefore(at), at + i, studio.context)),
    ),
  };
}

/** The last ids' probabilities multiplied. `starts`: for each of them where the text began that the model saw before it. */
function jointCode(ids: readonly number[], starts: readonly number[]): NonNullable<Why["code"]> {
  const first = ids.length - starts.length;
  const calls = [`const model = await loadModel(${JSON.stringify(studio.model?.info.name ?? "")});`, "let joint = 1;"];
  if (starts.every((start) => start === 0)) {
    calls.push(`for await (const step of model.score([${ids.join(", ")}]))`);
    calls.push(`  if ("probability" in step && step.position >= ${first}) joint *= step.probability;`);
  } else {
    calls.push(`const ids = [${ids.join(", ")}];`);
    calls.push(`for (const [at, start] of ${JSON.stringify(starts.map((start, i) => [first + i, start]))})`);
    calls.push("  joint *= (await model.predict(ids.slice(start, at))).probability(ids[at]);");
  }
  return { library: [...calls, "joint;"].join("\n"), command: nodeCommand("loadModel", calls, "joint") };
}
