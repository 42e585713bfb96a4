/**
 * A second, independent forward pass of the Llama family over plain arrays and checkpoint names, one position at a time in fp64,
 * written from the papers: what llama.ts is tested against where no published numbers exist (biases, q/k norms, windows, partial rotary).
 */
import type { TensorSource } from "../formats/tensor-source.ts";
import type { ModelConfig } from "./config.ts";

type Vector = number[];

/** Logits of every position of one sequence, (T, V). */
export async function llamaOracle(config: ModelConfig, source: TensorSource, ids: readonly number[]): Promise<number[][]> {
  const weights = new Map<string, Float32Array>();
  for (const name of source.tensors.keys()) weights.set(name, await source.read(name));
  const get = (name: string): Float32Array => weights.get(name)!;
  const multiply = (name: string, x: Vector): Vector => {
    const [W, bias] = [get(`${name}.weight`), weights.get(`${name}.bias`)];
    return Array.from({ length: W.length / x.length }, (_, i) => x.reduce((sum, v, j) => sum + W[i * x.length + j] * v, bias?.[i] ?? 0));
  };
  const norm = (name: string, x: Vector): Vector => {
    const root = Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length + config.normEpsilon);
    return x.map((v, i) => (v / root) * get(`${name}.weight`)[i]);
  };
  const { heads, kvHeads, headDimension: D, attentionWindow, width } = config;
  const head = (x: Vector, h: number): Vector => x.slice(h * D, (h + 1) * D);

  let stream = ids.map((id) => Array.from(get("model.embed_tokens.weight").slice(id * width, (id + 1) * width)));
  for (let layer = 0; layer < config.layers; layer++) {
    const at = `model.layers.${layer}.`;
    const calm = stream.map((x) => norm(`${at}input_layernorm`, x));
    const prepare = (kind: "q" | "k", x: Vector, position: number, h: number): Vector => {
      const one = head(multiply(`${at}self_attn.${kind}_proj`, x), h);
      return turn(config, config.qkNorm ? norm(`${at}self_attn.${kind}_norm`, one) : one, position);
    };
    const keys = calm.map((x, t) => Array.from({ length: kvHeads }, (_, h) => prepare("k", x, t, h)));
    const values = calm.map((x) => multiply(`${at}self_attn.v_proj`, x));
    stream = stream.map((x, t) => {
      const z: Vector = [];
      for (let h = 0; h < heads; h++) {
        const shared = Math.floor(h / (heads / kvHeads));
        const q = prepare("q", calm[t], t, h);
        const seen = keys.map((_, s) => s).filter((s) => s <= t && (attentionWindow === 0 || t - s < attentionWindow));
        const weight = seen.map((s) => Math.exp(q.reduce((sum, v, d) => sum + v * keys[s][shared][d], 0) / Math.sqrt(D)));
        const total = weight.reduce((a, b) => a + b);
        for (let d = 0; d < D; d++) z.push(seen.reduce((sum, s, i) => sum + (weight[i] / total) * head(values[s], shared)[d], 0));
      }
      const middle = multiply(`${at}self_attn.o_proj`, z).map((v, i) => v + x[i]);
      const calmer = norm(`${at}post_attention_layernorm`, middle);
      const up = multiply(`${at}mlp.up_proj`, calmer);
      const neurons = multiply(`${at}mlp.gate_proj`, calmer).map((v, i) => (v / (1 + Math.exp(-v))) * up[i]); // SiLU
      return multiply(`${at}mlp.down_proj`, neurons).map((v, i) => v + middle[i]);
    });
  }
  const head0 = config.tied ? "model.embed_tokens" : "lm_head";
  return stream.map((x) => multiply(head0, norm("model.norm", x)));
}

/** One head at one position: each pair as a complex number times e^(i position frequency). */
function turn(config: ModelConfig, x: Vector, position: number): Vector {
  const { theta, dimensions, scaling } = config.rotary!;
  const turned = [...x];
  for (let i = 0; i < dimensions / 2; i++) {
    const wavelength = 2 * Math.PI * theta ** ((2 * i) / dimensions);
    let frequency = (2 * Math.PI) / wavelength;
    if (scaling.kind === "linear") frequency /= scaling.factor;
    if (scaling.kind === "llama3") {
      const { factor, lowFrequency, highFrequency, originalContext } = scaling;
      const smooth = (originalContext / wavelength - lowFrequency) / (highFrequency - lowFrequency);
      if (wavelength > originalContext / lowFrequency) frequency /= factor;
      else if (wavelength >= originalContext / highFrequency) frequency = (1 - smooth) * (frequency / factor) + smooth * frequency;
    }
    const [re, im, angle] = [x[i], x[i + dimensions / 2], position * frequency];
    turned[i] = re * Math.cos(angle) - im * Math.sin(angle);
    turned[i + dimensions / 2] = re * Math.sin(angle) + im * Math.cos(angle);
  }
  return turned;
}
