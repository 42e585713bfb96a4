/** Answers to "why this number?" for everything the panel shows, with the code that prints the same number. */
import type { HeadStages, ModelConfig, Neurons } from "../../engine/protocol.ts";
import { percent, shellWord, signed, visible, whole } from "../../state/format.ts";
import { studio } from "../../state/studio.svelte.ts";
import type { Operand, Why } from "../../state/why.ts";
import type { Window } from "./flow.svelte.ts";
import type { ScoreSum } from "./heads.ts";
import { t } from "./messages.ts";
import type { Joining } from "./spine.ts";

type Neuron = Neurons["neurons"][number];

const quote = (text: string): string => `‘${visible(text)}’`;

/** Library and command line; `inspect` are the flags of `vitrine inspect` where it tells the number. */
function code(seen: Window, use: string, lines: readonly string[], inspect?: string): Why["code"] {
  const name = studio.model?.info.name ?? "";
  const ids = seen.text === undefined ? `[${seen.ids.join(", ")}]` : `tokenizer.encode(${JSON.stringify(seen.text)})`;
  const begin = [
    `import { ${use}, loadModel } from "vitrine";`,
    `const { model, tokenizer } = await loadModel(${JSON.stringify(name)});`,
    `const ids = ${ids};`,
  ];
  const library = [...begin, ...lines].join("\n");
  const command =
    inspect !== undefined && seen.text !== undefined
      ? `vitrine inspect ${shellWord(seen.text)} -m ${shellWord(name)} ${inspect} --json`
      : `node --input-type=module -e ${shellWord(library)}`;
  return { library, command };
}

/** A vector of the pass: tap name, where in it, and how people call it. */
export interface Vector {
  readonly name: string;
  readonly what: string;
  /** In the window, from 0. */
  readonly position: number;
  readonly x: Float32Array;
  /** Of (T, H, D) activations: which head. */
  readonly head?: { readonly index: number; readonly count: number };
}

function reading({ name, position, x, head }: Vector): string[] {
  const from = head ? `(${position} * ${head.count} + ${head.index}) * ${x.length}` : `${position} * ${x.length}`;
  return [
    `const [{ data }] = (await capture(model, ids, ["${name}"])).values();`,
    `const from = ${from};`,
    `const x = data.subarray(from, from + ${x.length});`,
  ];
}

export function cellWhy(key: string, seen: Window, vector: Vector, i: number): Why {
  const { what, x } = vector;
  return {
    key,
    title: t("cellTitle", { n: i, what }),
    value: signed(x[i], 5),
    provenance: "computed",
    story: t("cellStory", { n: whole(x.length) }),
    formula: String.raw`x_{${i}} = ${signed(x[i], 5).replace("−", "-")}`,
    code: code(seen, "capture", [...reading(vector), `console.log(x[${i}]);`]),
  };
}

export function lengthWhy(key: string, seen: Window, vector: Vector, value: number, story: string, more: readonly Operand[] = []): Why {
  const { what, x } = vector;
  return {
    key,
    title: t("lengthOf", { what }),
    value: value.toFixed(4),
    provenance: "derived",
    story,
    formula: String.raw`\lVert x \rVert = \sqrt{\textstyle\sum_i x_i^2}`,
    operands: [
      { symbol: "C", name: t("numbersIn"), value: whole(x.length) },
      ...[0, 1, 2].filter((i) => i < x.length).map((i) => ({ symbol: `x_${i}`, name: "", value: signed(x[i], 4) })),
      ...more,
    ],
    code: code(seen, "capture", [...reading(vector), "console.log(Math.hypot(...x));"]),
  };
}

export function cosineWhy(key: string, seen: Window, joining: Joining, position: number): Why {
  const { addedName, afterName, added, cosine, beforeLength, addedLength } = joining;
  const C = added.length;
  return {
    key,
    title: t("cosineTitle"),
    value: signed(cosine, 4),
    provenance: "derived",
    story: t("cosineStory"),
    formula: String.raw`\cos = \frac{a \cdot x}{\lVert a \rVert\,\lVert x \rVert}`,
    operands: [
      { symbol: String.raw`\lVert a \rVert`, name: t("added"), value: addedLength.toFixed(4) },
      { symbol: String.raw`\lVert x \rVert`, name: t("before"), value: beforeLength.toFixed(4) },
      { symbol: String.raw`a \cdot x`, name: "", value: signed(cosine * beforeLength * addedLength, 4) },
    ],
    code: code(seen, "capture", [
      `const heard = await capture(model, ids, ["${addedName}", "${afterName}"]);`,
      `const row = (name) => heard.get(name).data.subarray(${position} * ${C}, ${position + 1} * ${C});`,
      `const a = row("${addedName}");`,
      `const x = row("${afterName}").map((after, c) => after - a[c]); // the stream before`,
      "const dot = a.reduce((sum, value, c) => sum + value * x[c], 0);",
      "console.log(dot / Math.hypot(...a) / Math.hypot(...x));",
    ]),
  };
}

function headCode(
  seen: Window,
  { layer, head, positions: T }: HeadStages,
  i: number,
  j: number,
  what: "scores" | "pattern" | "weighted",
): Why["code"] {
  const lines = [`const stages = await headStages(model, ids, ${layer}, ${head});`, `console.log(stages.${what}[${i} * ${T} + ${j}]);`];
  return code(seen, "headStages", lines, what === "scores" ? undefined : `--attention ${layer}.${head} --position ${i}`);
}

export function scoreWhy(key: string, seen: Window, stages: HeadStages, i: number, j: number, sum: ScoreSum): Why {
  const [row, column] = [quote(seen.texts[i]), quote(seen.texts[j])];
  return {
    key,
    title: t("score2", { row, column }),
    value: signed(sum.score, 4),
    provenance: "computed",
    story: t("scoreStory", { row, column }),
    formula: String.raw`s = \frac{q \cdot k}{\sqrt{D}}`,
    operands: [
      ...sum.terms.slice(0, 4).map(({ q, k, product }, d) => ({
        symbol: `q_${d} k_${d}`,
        name: `${signed(q)} · ${signed(k)}`,
        value: signed(product, 4),
      })),
      { symbol: "D", name: t("headSize"), value: whole(stages.headDimension) },
      { symbol: String.raw`q \cdot k`, name: t("sumOf"), value: signed(sum.total, 4) },
    ],
    code: headCode(seen, stages, i, j, "scores"),
  };
}

/** The score before it is divided. */
export function totalWhy(key: string, seen: Window, stages: HeadStages, i: number, j: number, sum: ScoreSum): Why {
  const why = scoreWhy(key, seen, stages, i, j, sum);
  const [row, column] = [quote(seen.texts[i]), quote(seen.texts[j])];
  const { layer, head, headDimension, positions: T } = stages;
  return {
    ...why,
    title: t("productsTitle", { row, column }),
    value: signed(sum.total, 4),
    provenance: "derived",
    story: t("totalStory", { row, column }),
    formula: String.raw`q \cdot k = \sum_{d=1}^{D} q_d\, k_d`,
    code: code(seen, "headStages", [
      `const stages = await headStages(model, ids, ${layer}, ${head});`,
      `console.log(stages.scores[${i} * ${T} + ${j}] * Math.sqrt(${headDimension}));`,
    ]),
  };
}

export function weightWhy(key: string, seen: Window, stages: HeadStages, i: number, j: number, sum: ScoreSum): Why {
  const [row, column] = [quote(seen.texts[i]), quote(seen.texts[j])];
  return {
    key,
    title: t("weightTitle", { row, column }),
    value: percent(sum.weight),
    provenance: "computed",
    story: t("weightStory", { row, column }),
    formula: String.raw`a_{ij} = \frac{e^{s_{ij}}}{\sum_{j' \le i} e^{s_{ij'}}}`,
    operands: [
      { symbol: "s_{ij}", name: t("score"), value: signed(sum.score, 4) },
      { symbol: "a_{ij}", name: t("weight"), value: sum.weight.toFixed(6) },
      { symbol: "i, j", name: "", value: `${i}, ${j}` },
    ],
    code: headCode(seen, stages, i, j, "pattern"),
  };
}

export function givesWhy(key: string, seen: Window, stages: HeadStages, i: number, j: number): Why {
  const [row, column] = [quote(seen.texts[i]), quote(seen.texts[j])];
  const [value, weight] = [stages.weighted[i * stages.positions + j], stages.pattern[i * stages.positions + j]];
  return {
    key,
    title: t("givesTitle", { row, column }),
    value: value.toFixed(4),
    provenance: "derived",
    story: t("givesStory"),
    formula: String.raw`\lVert a_{ij}\, v_j W_O \rVert`,
    operands: [
      { symbol: "a_{ij}", name: t("weight"), value: weight.toFixed(6) },
      ...(weight > 0 ? [{ symbol: String.raw`\lVert v_j W_O \rVert`, name: t("valueLength"), value: (value / weight).toFixed(4) }] : []),
    ],
    code: headCode(seen, stages, i, j, "weighted"),
  };
}

function neuronCode(seen: Window, layer: number, position: number, count: number, read: string): Why["code"] {
  const lines = [`const found = await neurons(model, ids, ${layer}, { position: ${position}, count: ${count} });`, `console.log(${read});`];
  return code(seen, "neurons", lines, `--neurons ${layer} --position ${position} --top ${count}`);
}

export interface NeuronPlace {
  readonly layer: number;
  readonly position: number;
  /** Neurons asked for, and which of them. */
  readonly count: number;
  readonly at: number;
}

export function activationWhy(key: string, seen: Window, config: ModelConfig, { layer, position, count, at }: NeuronPlace, neuron: Neuron): Why {
  const gated = config.family === "llama";
  const f = config.activation.startsWith("gelu") ? String.raw`\mathrm{GELU}` : config.activation === "silu" ? String.raw`\mathrm{SiLU}` : "f";
  return {
    key,
    title: t("neuronTitle", { n: neuron.index, layer }),
    value: signed(neuron.activation, 4),
    provenance: "computed",
    story: t(gated ? "gatedStory" : "neuronStory", { token: quote(seen.texts[position]) }),
    formula: gated ? String.raw`n = ${f}(g \cdot y)\,(u \cdot y)` : String.raw`n = ${f}(u \cdot y + b)`,
    code: neuronCode(seen, layer, position, count, `found.neurons[${at}].activation`),
  };
}

export function strengthWhy(key: string, seen: Window, { layer, position, count, at }: NeuronPlace, neuron: Neuron): Why {
  return {
    key,
    title: t("writesTitle", { n: neuron.index }),
    value: neuron.strength.toFixed(4),
    provenance: "derived",
    story: t("writesStory"),
    formula: String.raw`\lvert n \rvert \, \lVert w_{\text{out}} \rVert`,
    operands: [
      { symbol: "n", name: t("activation"), value: signed(neuron.activation, 4) },
      ...(neuron.activation === 0
        ? []
        : [{ symbol: String.raw`\lVert w_{\text{out}} \rVert`, name: "", value: (neuron.strength / Math.abs(neuron.activation)).toFixed(4) }]),
    ],
    code: neuronCode(seen, layer, position, count, `found.neurons[${at}].strength`),
  };
}

/** How far a neuron pushes one token: `sort` and `nth` say which of its lists has it, and where. */
export function pushWhy(
  key: string,
  seen: Window,
  { layer, position, count, at }: NeuronPlace,
  neuron: Neuron,
  sort: "promotes" | "suppresses",
  nth: number,
  text: string,
): Why {
  const { id, amount } = neuron[sort][nth];
  return {
    key,
    title: t("pushTitle", { n: neuron.index, token: quote(text) }),
    value: signed(amount, 4),
    provenance: "derived",
    story: t("pushStory", { token: quote(text) }),
    formula: String.raw`\operatorname{sign}(n)\; w_{\text{out}} \cdot u_t`,
    operands: [
      { symbol: "n", name: t("activation"), value: signed(neuron.activation, 4) },
      { symbol: "t", name: t("token"), value: `${quote(text)} ${id}` },
    ],
    code: neuronCode(seen, layer, position, count, `found.neurons[${at}].${sort}[${nth}].amount`),
  };
}

/** What the tokens without a row share. */
export function restWhy(key: string, seen: Window, position: number, rest: number, shown: number, V: number): Why {
  return {
    key,
    title: t("rest"),
    value: percent(rest),
    provenance: "derived",
    story: t("restStory", { n: whole(V - shown), k: shown }),
    formula: String.raw`1 - \sum_{i \in \text{shown}} p_i`,
    operands: [{ symbol: String.raw`\sum p_i`, name: t("shownSum"), value: percent(1 - rest) }],
    code: predictCode(seen, position, `next.rest(${shown})`, ` --show ${shown}`),
  };
}

export function probabilityWhy(key: string, seen: Window, position: number, id: number, text: string, p: number, logit: number, lse: number): Why {
  return {
    key,
    title: t("pTitle", { token: quote(text) }),
    value: percent(p),
    provenance: "computed",
    story: t("pStory"),
    formula: String.raw`p = \frac{e^{z}}{\sum_{j} e^{z_j}}`,
    operands: [
      { symbol: "z", name: t("logit"), value: signed(logit, 4) },
      { symbol: String.raw`\ln \sum_j e^{z_j}`, name: t("others"), value: signed(lse, 4) },
      { symbol: "p", name: "", value: p.toPrecision(6) },
    ],
    code: predictCode(seen, position, `next.probability(${id})`),
  };
}

/** A number of the prediction after one position; `flags` make the command show it. */
function predictCode(seen: Window, position: number, expression: string, flags = ""): Why["code"] {
  const prompt = position === seen.ids.length - 1 ? seen.text : undefined;
  const name = studio.model?.info.name ?? "";
  const ids = prompt === undefined ? `[${seen.ids.slice(0, position + 1).join(", ")}]` : `model.tokenizer.encode(${JSON.stringify(prompt)})`;
  const library = [
    'import { loadModel } from "vitrine";',
    `const model = await loadModel(${JSON.stringify(name)});`,
    `const next = await model.predict(${ids});`,
    `console.log(${expression});`,
  ].join("\n");
  const command =
    prompt === undefined
      ? `node --input-type=module -e ${shellWord(library)}`
      : `vitrine generate ${shellWord(prompt)} -m ${shellWord(name)} -n 1${flags} --json`;
  return { library, command };
}

export function logitWhy(key: string, seen: Window, position: number, id: number, text: string, logit: number): Why {
  return {
    key,
    title: t("logitTitle", { token: quote(text) }),
    value: signed(logit, 4),
    provenance: "computed",
    story: t("logitStory"),
    formula: String.raw`z_t = u_t \cdot \mathrm{norm}(x)`,
    operands: [{ symbol: "t", name: t("token"), value: `${quote(text)} ${id}` }],
    code: code(seen, "capture", [
      'const [{ data, shape: [, V] }] = (await capture(model, ids, ["logits"])).values();',
      `console.log(data[${position} * V + ${id}]);`,
    ]),
  };
}
