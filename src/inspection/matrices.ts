/**
 * Weights to look at: any block of any matrix, by its name in the checkpoint or as the lecture names it ("the query matrix of layer 3, head 5").
 * Only what holds the block is read from the device. Adapters are not in it: they are matrices of their own.
 */
import { nearest, quoted, VitrineError } from "../base/errors.ts";
import type { ModelConfig } from "../model/config.ts";
import { parametersOf } from "../model/families.ts";
import type { LanguageModel } from "../model/model.ts";
import type { Category, Parameter } from "../model/parameters.ts";
import { checkPlace } from "./capture.ts";
import type { WeightBlock } from "./inspection.ts";

/** A matrix as the lecture names it. A head's part where one is named (Key, Query, Value, Output); all heads side by side where none is. */
export interface NamedMatrix {
  readonly category: MatrixCategory;
  /** Not for Embedding, Positions and Unembedding, of which there is one. */
  readonly layer?: number;
  readonly head?: number;
}

export type MatrixCategory = Exclude<Category, "Biases" | "Norms">;

type Range = readonly [from: number, count: number];

const wholeModel: readonly Category[] = ["Embedding", "Positions", "Unembedding"];
const byHead: readonly Category[] = ["Query", "Key", "Value", "Output"];

/**
 * Rows and columns (each [from, count], all of them by default) of a matrix, as the checkpoint lays it out: GPT-2's block matrices are
 * (inputs, outputs), all others (outputs, inputs). Ranges count within the part that `which` names and are cut at its end. A vector is one row.
 * Throws VitrineError, naming what there is, for a matrix that the model does not have.
 */
export async function matrixOf(model: LanguageModel, which: string | NamedMatrix, rows?: Range, columns?: Range): Promise<WeightBlock> {
  const part = typeof which === "string" ? byName(model.config, which) : byCategory(model, which);
  const [row, height] = part.rows;
  const [column, width] = part.columns;
  const asked = { rows: cut("rows", rows, height), columns: cut("columns", columns, width) };
  const data = await model.readParameter(part.name, {
    rows: [row + asked.rows[0], asked.rows[1]],
    columns: [column + asked.columns[0], asked.columns[1]],
  });
  return { name: part.name, shape: [height, width], ...asked, data };
}

/** The parameters that hold weights of a category, in the order of the checkpoint. A tied unembedding is the embedding's own. */
export function weightsOf(config: ModelConfig, category: Category): Parameter[] {
  const wanted = category === "Unembedding" && config.tied ? "Embedding" : category;
  return parametersOf(config).filter(({ shares }) => shares.some(([name]) => name === wanted));
}

/** A checkpoint's matrix, or part of it. */
interface Part {
  readonly name: string;
  readonly rows: Range;
  readonly columns: Range;
}

function byName(config: ModelConfig, name: string): Part {
  const parameters = parametersOf(config);
  const found = parameters.find((parameter) => parameter.name === name);
  if (found) return whole(found);
  const meant = nearest(name, parameters.map((parameter) => parameter.name)) ?? parameters[0].name; // prettier-ignore
  throw new VitrineError(`matrixOf: this ${config.modelType} model has no matrix ${quoted(name)}; did you mean ${meant}?`);
}

function whole({ name, shape }: Parameter): Part {
  const [height, width] = shape.length === 1 ? [1, shape[0]] : shape;
  return { name, rows: [0, height], columns: [0, width] };
}

function byCategory(model: LanguageModel, { category, layer, head }: NamedMatrix): Part {
  const { config } = model;
  const list = weightsOf(config, category);
  if (list.length === 0) throw new VitrineError(`matrixOf: this ${config.modelType} model has no ${category} matrix`);
  if (wholeModel.includes(category)) return whole(list[0]);
  if (layer === undefined) throw new VitrineError(`matrixOf: each layer has its own ${category} matrix; say which layer, from 0`);
  checkPlace(model, layer, head);
  const part = ofCategory(list[layer], category);
  if (head === undefined) return part;
  if (!byHead.includes(category)) throw new VitrineError(`matrixOf: the ${category} matrix belongs to all heads of a layer; leave the head out`);
  return ofHead(config, list[layer], part, category, head);
}

/** Queries, keys and values of GPT-2 lie side by side in one matrix. */
function ofCategory(parameter: Parameter, category: Category): Part {
  const part = whole(parameter);
  const { shares } = parameter;
  if (shares.length === 1) return part;
  const at = shares.findIndex(([name]) => name === category);
  const width = part.columns[1] / shares.length;
  return { ...part, columns: [at * width, width] };
}

/** The D rows or columns of a head. Several heads may share keys and values. */
function ofHead({ heads, kvHeads, headDimension: D }: ModelConfig, { place }: Parameter, part: Part, category: Category, head: number): Part {
  const shared = category === "Key" || category === "Value";
  const from = D * (shared ? Math.floor((head * kvHeads) / heads) : head);
  // A head's numbers are outputs of the query, key and value matrices and inputs of the output matrix.
  const inputsAreRows = place.kind === "matrix" && place.order === "inputs-first";
  const inRows = (category === "Output") === inputsAreRows;
  const shifted = ([first]: Range): Range => [first + from, D];
  return inRows ? { ...part, rows: shifted(part.rows) } : { ...part, columns: shifted(part.columns) };
}

/** What of an asked range lies inside. */
function cut(what: string, [from, count]: Range = [0, Infinity], size: number): Range {
  if (!Number.isInteger(from) || from < 0 || !(count >= 0))
    throw new VitrineError(`matrixOf: ${count} ${what} from ${from}; give whole numbers from 0`);
  const first = Math.min(from, size);
  return [first, Math.min(Math.floor(count), size - first)];
}
