#!/usr/bin/env bash
# Rebuilds models/letters: a model that writes letter by letter, small enough to paint first. Minutes on two cores.
#   bash models/letters/recipe.sh DATA OUT        (DATA holds stories/tinystories.txt)
set -euo pipefail
data=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
vitrine() { node "${VITRINE:-bin/vitrine.js}" "$@"; }

# Every twentieth story is never learned from. Letters beyond ASCII become their nearest or go: 433 stories have some, mostly quotation marks.
[ -f "$out/letters-held.txt" ] || node -e '
  const { readFileSync, writeFileSync } = require("node:fs");
  const [, data, out] = process.argv;
  const plain = (text) => text.replace(/[\u2018\u2019]/g, "\u0027").replace(/[\u201c\u201d]/g, "\"").replace(/[\u2013\u2014]/g, "-").replace(/\u2026/g, "...").normalize("NFD").replace(/[^\n -~]/g, "");
  const stories = readFileSync(data, "utf8").split("<|endoftext|>").map((text) => plain(text.trim())).filter(Boolean);
  const write = (name, keep) => writeFileSync(`${out}/${name}`, stories.filter((_, i) => keep(i % 20 === 19)).join("\n<|endoftext|>\n"));
  write("letters-train.txt", (held) => !held);
  write("letters-held.txt", (held) => held);
' "$data/stories/tinystories.txt" "$out"

[ -f "$out/letters/run.json" ] || vitrine train "$out/letters-train.txt" --validation "$out/letters-held.txt" --out "$out/letters" --tokenizer characters \
  --layers 4 --heads 4 --width 96 --context 128 --batch 16 --steps "${STEPS:-1500}" --learning-rate 2e-3 --warmup 100 --seed 1 \
  --evaluate-every 250 --sample-prompt "Once upon a time, there was a" ${JSON:+--json} ${THREADS:+--threads "$THREADS"}
vitrine eval "$out/letters/best" "$out/letters-held.txt"
vitrine export "$out/letters/best" --format safetensors --type f16 --out "$out/letters-f16" --force
