"""
PyTorch's side of training.ts: a GPT-2-shaped model written as fast as PyTorch 1.13 runs it on a processor (fused GELU, the causal mask
and the scale inside one batched product, AdamW over all tensors at once). The architecture is nanoGPT's and ours: norms first, one
matrix for queries, keys and values, an unembedding tied to the embedding, no dropout.
Without arguments it only tells whether it could be a contender. Else it reads {"steps": n} from standard input, line by line, and
answers {"seconds": ..., "processor": ..., "losses": [...]}.
"""

import json
import math
import sys
import time

import torch
from torch.nn import functional as F


def slow_blas():
    """Debian's PyTorch multiplies by whatever libblas.so.3 is; the reference one is thirty times slower than it need be."""
    loaded = open("/proc/self/maps").read()
    return "BLAS_INFO=generic" in torch.__config__.show() and not any(name in loaded for name in ("openblas", "blis", "atlas"))


if len(sys.argv) == 1:
    print("its BLAS is the reference one" if slow_blas() else "ready")
    sys.exit()

spec = json.load(open(sys.argv[1]))
threads = int(sys.argv[2])
torch.set_num_threads(threads)
torch.manual_seed(0)
L, H, C, V, T, B = (spec[key] for key in ("layers", "heads", "width", "vocabularySize", "contextLength", "batch"))
D = C // H


def load():
    """The weights that Vitrine begins with. GPT-2 files keep matrices as (inputs, outputs), F.linear wants (outputs, inputs)."""
    numbers = torch.frombuffer(bytearray(open(spec["weights"], "rb").read()), dtype=torch.float32)
    weights, at = {}, 0
    for entry in spec["tensors"]:
        name, shape = entry["name"].replace("transformer.", ""), entry["shape"]
        values = numbers[at : at + math.prod(shape)].view(shape)
        at += math.prod(shape)
        is_linear = len(shape) == 2 and name not in ("wte.weight", "wpe.weight")
        weights[name] = (values.t() if is_linear else values).contiguous().clone().requires_grad_()
    return weights


w = load()
mask = torch.full((T, T), -math.inf).triu(1)
batches = [torch.tensor(rows) for rows in spec["batches"]]  # (B, T + 1)
decays = [p for p in w.values() if p.dim() >= 2]
others = [p for p in w.values() if p.dim() < 2]
groups = [{"params": decays, "weight_decay": spec["weightDecay"]}, {"params": others, "weight_decay": 0.0}]
betas = (spec["beta1"], spec["beta2"])
optimiser = torch.optim.AdamW(groups, lr=spec["learningRate"], betas=betas, eps=spec["epsilon"], foreach=True)


def norm(x, name):
    return F.layer_norm(x, (C,), w[name + ".weight"], w[name + ".bias"], 1e-5)


def linear(x, name):
    return F.linear(x, w[name + ".weight"], w[name + ".bias"])


def attention(x, at):
    q, k, v = linear(x, at + "c_attn").view(B, T, 3, H, D).permute(2, 0, 3, 1, 4).reshape(3, B * H, T, D)
    scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=1 / math.sqrt(D))
    mixed = torch.bmm(F.softmax(scores, dim=-1), v)
    return linear(mixed.view(B, H, T, D).transpose(1, 2).reshape(B, T, C), at + "c_proj")


def loss_of(inputs, targets):
    x = F.embedding(inputs, w["wte.weight"]) + w["wpe.weight"]
    for layer in range(L):
        at = f"h.{layer}."
        x = x + attention(norm(x, at + "ln_1"), at + "attn.")
        x = x + linear(F.gelu(linear(norm(x, at + "ln_2"), at + "mlp.c_fc"), approximate="tanh"), at + "mlp.c_proj")
    logits = F.linear(norm(x, "ln_f"), w["wte.weight"])
    return F.cross_entropy(logits.view(-1, V), targets.reshape(-1))


done = 0


def step():
    global done
    rows = batches[done % len(batches)]
    done += 1
    loss = loss_of(rows[:, :-1].contiguous(), rows[:, 1:].contiguous())
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(list(w.values()), spec["clip"])
    optimiser.step()
    return loss.item()


name = f"PyTorch, {threads} thread{'s' if threads > 1 else ''}"
note = f"PyTorch {torch.__version__}, {torch.get_num_threads()} of OpenMP"
print(json.dumps({"name": name, "note": note}), flush=True)
for line in sys.stdin:
    started, processor = time.perf_counter(), time.process_time()
    losses = [step() for _ in range(json.loads(line)["steps"])]
    answer = {"seconds": time.perf_counter() - started, "processor": time.process_time() - processor, "losses": losses}
    print(json.dumps(answer), flush=True)
