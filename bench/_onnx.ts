/**
 * A GPT-2 checkpoint as the ONNX graph that Hugging Face's exporter writes (decoder with past): same names of inputs and outputs,
 * same plain operators, weights in an external file, so that onnxruntime and transformers.js run the weights we run.
 * It is the plain form: whatever fusing there is, onnxruntime's own optimiser does it when the session opens.
 */
import { closeSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type Gpt2Shape, readPlace, readShape, shareFile, tensorPlaces } from "./_checkpoint.ts";
import { Message } from "./_protobuf.ts";

/** fp32 = the checkpoint's own numbers; int8 = onnxruntime's dynamic quantisation: weights int8 per column, activations uint8 at run time. */
export type OnnxWeights = "fp32" | "int8";

export interface OnnxOptions {
  readonly weights?: OnnxWeights;
  /** "all" is what the exporter writes; "last" computes the unembedding for the last position only, for a peer at its best. */
  readonly logits?: "all" | "last";
}

/** Writes the graph of the checkpoint in `folder` under onnx/ and returns its path. */
export function writeOnnx(folder: string, { weights = "fp32", logits = "all" }: OnnxOptions = {}): string {
  const shape = readShape(folder);
  mkdirSync(join(folder, "onnx"), { recursive: true });
  const dataName = weights === "fp32" ? "model.onnx_data" : "model_quantized.onnx_data"; // names transformers.js looks for
  const dataFile = join(folder, "onnx", dataName);
  const checkpoint = join(folder, "model.safetensors");
  const places = tensorPlaces(checkpoint);
  const graph = new Graph(dataName);
  const prefix = places.has("transformer.wte.weight") ? "transformer." : "";
  if (weights === "fp32") {
    shareFile(checkpoint, dataFile); // an external tensor is an offset into any file: the checkpoint itself will do
    for (const [name, { shape: size, offset, length }] of places) graph.external(name.slice(prefix.length), FLOAT, size, offset, length);
  } else quantise(graph, shape, dataFile, (name) => readPlace(checkpoint, places.get(prefix + name)!), prefix, places);
  decoder(graph, shape, weights, logits);
  const file = join(folder, "onnx", `model${logits === "last" ? "_last" : ""}${weights === "int8" ? "_quantized" : ""}.onnx`);
  writeFileSync(file, graph.encode());
  return file;
}

// onnx.proto, TensorProto.DataType
const FLOAT = 1;
const INT8 = 3;
const INT64 = 7;
const BOOL = 9;

type Attribute = number | { readonly float: number } | readonly number[] | string;

/** Collects nodes and tensors in the field numbers of onnx.proto. */
class Graph {
  readonly #nodes: Message[] = [];
  readonly #tensors: Message[] = [];
  readonly #inputs: Message[] = [];
  readonly #outputs: Message[] = [];
  readonly #dataName: string;
  #count = 0;

  constructor(dataName: string) {
    this.#dataName = dataName;
  }

  /** Adds a node and returns the name of its output, or of its first one when several are named. */
  node(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    outputs: readonly string[] = [`node_${this.#count++}`],
  ): string {
    const node = new Message();
    for (const input of inputs) node.text(1, input);
    for (const output of outputs) node.text(2, output);
    node.text(3, `${type}_${this.#nodes.length}`).text(4, type);
    for (const [name, value] of Object.entries(attributes)) {
      const attribute = new Message().text(1, name);
      if (typeof value === "number") attribute.int(3, value).int(20, 2);
      else if (typeof value === "string") attribute.bytes(4, new TextEncoder().encode(value)).int(20, 3);
      else if ("float" in value) attribute.float(2, value.float).int(20, 1);
      else {
        for (const each of value) attribute.int(8, each);
        attribute.int(20, 7);
      }
      node.message(5, attribute);
    }
    this.#nodes.push(node);
    return outputs[0];
  }

  /** A tensor whose bytes stand in the data file. */
  external(name: string, type: number, size: readonly number[], offset: number, length: number): void {
    const tensor = tensorHead(name, type, size);
    for (const [key, value] of Object.entries({ location: this.#dataName, offset: String(offset), length: String(length) }))
      tensor.message(13, new Message().text(1, key).text(2, value));
    this.#tensors.push(tensor.int(14, 1));
  }

  /** A small tensor inside the graph; one number makes a scalar. */
  constant(name: string, type: number, values: Uint8Array, size: readonly number[]): string {
    this.#tensors.push(tensorHead(name, type, size).bytes(9, values));
    return name;
  }

  ints(name: string, values: readonly number[]): string {
    return this.constant(name, INT64, new Uint8Array(BigInt64Array.from(values, BigInt).buffer), [values.length]);
  }

  int(name: string, value: number): string {
    return this.constant(name, INT64, new Uint8Array(BigInt64Array.of(BigInt(value)).buffer), []);
  }

  float(name: string, value: number): string {
    return this.constant(name, FLOAT, new Uint8Array(Float32Array.of(value).buffer), []);
  }

  input(name: string, type: number, size: readonly (number | string)[]): string {
    this.#inputs.push(valueInfo(name, type, size));
    return name;
  }

  output(name: string, type: number, size: readonly (number | string)[]): void {
    this.#outputs.push(valueInfo(name, type, size));
  }

  encode(): Uint8Array {
    const graph = new Message();
    for (const node of this.#nodes) graph.message(1, node);
    graph.text(2, "gpt2");
    for (const tensor of this.#tensors) graph.message(5, tensor);
    for (const input of this.#inputs) graph.message(11, input);
    for (const output of this.#outputs) graph.message(12, output);
    const opset = new Message().text(1, "").int(2, 17);
    return new Message().int(1, 8).text(2, "vitrine-bench").message(7, graph).message(8, opset).encode(); // IR version 8 goes with opset 17
  }
}

function tensorHead(name: string, type: number, size: readonly number[]): Message {
  const tensor = new Message();
  for (const dimension of size) tensor.int(1, dimension);
  return tensor.int(2, type).text(8, name);
}

function valueInfo(name: string, type: number, size: readonly (number | string)[]): Message {
  const shape = new Message();
  for (const dimension of size) shape.message(1, typeof dimension === "number" ? new Message().int(1, dimension) : new Message().text(2, dimension));
  return new Message().text(1, name).message(2, new Message().message(1, new Message().int(1, type).message(2, shape)));
}

/** The whole forward pass, in the order of the data's road. */
function decoder(g: Graph, { layers, heads: H, width: C, vocabularySize: V }: Gpt2Shape, weights: OnnxWeights, logits: "all" | "last"): void {
  const D = C / H;
  const ids = g.input("input_ids", INT64, ["batch_size", "sequence_length"]);
  const attentionMask = g.input("attention_mask", INT64, ["batch_size", "total_sequence_length"]);
  const positions = g.input("position_ids", INT64, ["batch_size", "sequence_length"]);
  const zero = g.int("zero", 0);
  const one = g.int("one", 1);
  const headShape = g.ints("head_shape", [0, 0, H, D]);
  const flatShape = g.ints("flat_shape", [0, 0, C]);
  const splitSizes = g.ints("split_sizes", [C, C, C]);
  const scale = g.float("scale", 1 / Math.sqrt(D));
  const gelu = [
    g.float("three", 3),
    g.float("gelu_cubic", 0.044715),
    g.float("gelu_scale", Math.sqrt(2 / Math.PI)),
    g.float("gelu_one", 1),
    g.float("half", 0.5),
  ];

  // x (B, T, C) times the Conv1D weight `name` (inputs, outputs), plus its bias
  const conv1d = (name: string, x: string): string => {
    const product = weights === "fp32" ? g.node("MatMul", [x, `${name}.weight`]) : integerMatMul(g, x, name);
    return g.node("Add", [product, `${name}.bias`]);
  };
  const norm = (name: string, x: string): string =>
    g.node("LayerNormalization", [x, `${name}.weight`, `${name}.bias`], { axis: -1, epsilon: { float: 1e-5 } });

  // embedding
  let h = g.node("Add", [g.node("Gather", ["wte.weight", ids]), g.node("Gather", ["wpe.weight", positions])]);

  // mask (B, 1, T, S): 0 where the key stands no later than the query and is no padding, else the most negative number
  const S = g.node("Gather", [g.node("Shape", [attentionMask]), one]);
  const T = g.node("Gather", [g.node("Shape", [ids]), one]);
  const keyPositions = g.node("Range", [zero, S, one]);
  const queryPositions = g.node("Unsqueeze", [g.node("Range", [g.node("Sub", [S, T]), S, one]), g.ints("axis_1", [1])]);
  const causal = g.node("LessOrEqual", [keyPositions, queryPositions]);
  const present = g.node("Unsqueeze", [g.node("Cast", [attentionMask], { to: BOOL }), g.ints("axes_1_2", [1, 2])]);
  const visible = g.node("And", [present, causal]);
  const mask = g.node("Where", [visible, g.float("seen", 0), g.float("hidden", -3.4028234663852886e38)]);

  for (let n = 0; n < layers; n++) {
    // attention
    const qkv = conv1d(`h.${n}.attn.c_attn`, norm(`h.${n}.ln_1`, h));
    const parts = [`q${n}`, `k${n}`, `v${n}`];
    g.node("Split", [qkv, splitSizes], { axis: 2 }, parts);
    const [q, newKeys, newValues] = parts.map((part) => g.node("Transpose", [g.node("Reshape", [part, headShape])], { perm: [0, 2, 1, 3] })); // (B, H, T, D)
    const cached = (kind: "key" | "value", fresh: string): string => {
      const past = g.input(`past_key_values.${n}.${kind}`, FLOAT, ["batch_size", H, "past_sequence_length", D]);
      g.output(`present.${n}.${kind}`, FLOAT, ["batch_size", H, "total_sequence_length", D]);
      return g.node("Concat", [past, fresh], { axis: 2 }, [`present.${n}.${kind}`]);
    };
    const keys = cached("key", newKeys);
    const values = cached("value", newValues);
    const scores = g.node("Mul", [g.node("MatMul", [q, g.node("Transpose", [keys], { perm: [0, 1, 3, 2] })]), scale]);
    const pattern = g.node("Softmax", [g.node("Add", [scores, mask])], { axis: -1 });
    const z = g.node("Reshape", [g.node("Transpose", [g.node("MatMul", [pattern, values])], { perm: [0, 2, 1, 3] }), flatShape]);
    h = g.node("Add", [h, conv1d(`h.${n}.attn.c_proj`, z)]);

    // MLP, with GELU's tanh form spelled out as the exporter does: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
    const x = conv1d(`h.${n}.mlp.c_fc`, norm(`h.${n}.ln_2`, h));
    const cubic = g.node("Mul", [g.node("Pow", [x, gelu[0]]), gelu[1]]);
    const tanh = g.node("Tanh", [g.node("Mul", [g.node("Add", [x, cubic]), gelu[2]])]);
    const active = g.node("Mul", [g.node("Mul", [x, gelu[4]]), g.node("Add", [tanh, gelu[3]])]);
    h = g.node("Add", [h, conv1d(`h.${n}.mlp.c_proj`, active)]);
  }

  // unembedding
  if (logits === "last") h = g.node("Slice", [h, g.ints("from", [-1]), g.ints("to", [2 ** 31]), g.ints("slice_axis", [1])]);
  const last = norm("ln_f", h);
  if (weights === "fp32") g.node("MatMul", [last, g.node("Transpose", ["wte.weight"], { perm: [1, 0] })], {}, ["logits"]);
  else integerMatMul(g, last, "lm_head", "logits");
  g.output("logits", FLOAT, ["batch_size", logits === "last" ? 1 : "sequence_length", V]);
}

/** x W with W int8, as onnxruntime's quantize_dynamic writes it; the optimiser turns it into one DynamicQuantizeMatMul. */
function integerMatMul(g: Graph, x: string, name: string, output?: string): string {
  const quantised = [`${name}/x_${output ?? "q"}`, `${name}/x_scale`, `${name}/x_zero`];
  g.node("DynamicQuantizeLinear", [x], {}, quantised);
  const sums = g.node("MatMulInteger", [quantised[0], `${name}.weight_q`, quantised[2], `${name}.weight_zero`]);
  const scale = g.node("Mul", [quantised[1], `${name}.weight_scale`]);
  return g.node("Mul", [g.node("Cast", [sums], { to: FLOAT }), scale], {}, output === undefined ? undefined : [output]);
}

/** Writes the int8 data file: every matrix with one scale per column, symmetric; tables, norms and biases stay fp32. */
function quantise(
  g: Graph,
  { layers, width: C, vocabularySize: V }: Gpt2Shape,
  dataFile: string,
  read: (name: string) => Float32Array,
  prefix: string,
  places: ReturnType<typeof tensorPlaces>,
): void {
  const handle = openSync(`${dataFile}.part`, "w");
  let offset = 0;
  const put = (name: string, type: number, size: readonly number[], values: Uint8Array): void => {
    writeSync(handle, values, 0, values.length, offset);
    g.external(name, type, size, offset, values.length);
    offset = Math.ceil((offset + values.length) / 64) * 64;
  };
  const putMatrix = (name: string, values: Float32Array, inputs: number, outputs: number, at: (input: number, output: number) => number): void => {
    const bytes = new Int8Array(inputs * outputs);
    const scales = new Float32Array(outputs);
    for (let input = 0; input < inputs; input++)
      for (let output = 0; output < outputs; output++) scales[output] = Math.max(scales[output], Math.abs(values[at(input, output)]) / 127);
    for (let input = 0; input < inputs; input++)
      for (let output = 0; output < outputs; output++) bytes[input * outputs + output] = Math.round(values[at(input, output)] / scales[output]);
    put(`${name}.weight_q`, INT8, [inputs, outputs], new Uint8Array(bytes.buffer));
    put(`${name}.weight_scale`, FLOAT, [outputs], new Uint8Array(scales.buffer));
    put(`${name}.weight_zero`, INT8, [outputs], new Uint8Array(outputs));
  };
  const matrices = new Set<string>();
  for (let n = 0; n < layers; n++)
    for (const [part, inputs, outputs] of [
      ["attn.c_attn", C, 3 * C],
      ["attn.c_proj", C, C],
      ["mlp.c_fc", C, 4 * C],
      ["mlp.c_proj", 4 * C, C],
    ] as const) {
      matrices.add(`h.${n}.${part}.weight`);
      putMatrix(`h.${n}.${part}`, read(`h.${n}.${part}.weight`), inputs, outputs, (input, output) => input * outputs + output);
    }
  putMatrix("lm_head", read("wte.weight"), C, V, (input, output) => output * C + input);
  for (const [name, { shape: size }] of places) {
    const plain = name.slice(prefix.length);
    if (!matrices.has(plain)) put(plain, FLOAT, size, new Uint8Array(read(plain).buffer));
  }
  closeSync(handle);
  renameSync(`${dataFile}.part`, dataFile);
}
