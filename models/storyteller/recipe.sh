#!/usr/bin/env bash
# Rebuilds models/storyteller from text: the P and the G of GPT, pre-trained on books, then fine-tuned on stories.
#   bash models/storyteller/recipe.sh DATA OUT
# DATA holds books/children, books/classics, books/more (plain text) and stories/tinystories.txt (<|endoftext|> between stories).
# Every step goes on where it was interrupted; a second run of a finished step does nothing.
set -euo pipefail
data=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
vitrine() { node "${VITRINE:-bin/vitrine.js}" "$@"; }
flags=(${JSON:+--json} ${THREADS:+--threads "$THREADS"})

# Every twentieth story is never learned from, neither by the tokenizer nor by the model.
[ -f "$out/stories-held.txt" ] || node -e '
  const { readFileSync, writeFileSync } = require("node:fs");
  const [, data, out] = process.argv;
  const stories = readFileSync(data, "utf8").split("<|endoftext|>").map((text) => text.trim()).filter(Boolean);
  const write = (name, keep) => writeFileSync(`${out}/${name}`, stories.filter((_, i) => keep(i % 20 === 19)).join("\n<|endoftext|>\n"));
  write("stories-train.txt", (held) => !held);
  write("stories-held.txt", (held) => held);
' "$data/stories/tinystories.txt" "$out"

# Children's books count twenty times, classics twice: a random window comes from a children's book about every second time.
if [ ! -d "$out/books" ]; then
  rm -rf "$out/books.new"
  mkdir -p "$out/books.new"
  for file in "$data"/books/children/*.txt; do for i in $(seq 20); do ln -s "$file" "$out/books.new/$i-$(basename "$file")"; done; done
  for file in "$data"/books/classics/*.txt; do for i in 1 2; do ln -s "$file" "$out/books.new/$i-$(basename "$file")"; done; done
  for file in "$data"/books/more/*.txt; do sed '1,8{/^Title: /d;/^Author: /d;/^Year: /d}' "$file" > "$out/books.new/more-$(basename "$file")"; done
  mv "$out/books.new" "$out/books"
fi

[ -f "$out/tokens/tokenizer.json" ] || vitrine tokenizer train "$out/stories-train.txt" "$data/books/children" --vocabulary 4096 --out "$out/tokens"

# P: pre-training.
if [ -f "$out/base/run.json" ]; then vitrine train --resume --out "$out/base" "${flags[@]}"
else
  vitrine train "$out/books" --out "$out/base" --tokenizer "$out/tokens" --layers 6 --heads 4 --width 256 --context 256 \
    --batch 8 --steps "${BASE_STEPS:-300}" --learning-rate 1e-3 --least-learning-rate 3e-4 --warmup 40 --weight-decay 0.1 --beta2 0.98 --seed 1 \
    --validation-share 0.01 --evaluate-every 200 --sample-prompt "Once upon a time, there was a" "${flags[@]}"
fi

# Goes on with the fine-tuning in the folder $out/$1, or begins it; its report is its last act.
finetune() {
  local name=$1
  shift
  if [ -f "$out/$name/report.json" ]; then return
  elif [ -f "$out/$name/finetune.json" ]; then vitrine finetune --resume --out "$out/$name" "${flags[@]}"
  else vitrine finetune "$@" --out "$out/$name" --validation "$out/stories-held.txt" --old-text "$data/books/children/the-wonderful-wizard-of-oz.txt" "${flags[@]}"; fi
  [ -f "$out/$name/report.json" ] # else it was stopped
}

# G and T: fine-tuning, on stories only.
finetune stories "$out/base" "$out/stories-train.txt" --batch 8 --steps "${STORY_STEPS:-6600}" --learning-rate 1e-3 --warmup 60 --weight-decay 0.1 --dropout 0.05 --seed 1 \
  --evaluate-every 200 --report-prompt "Once upon a time, there was a" --report-prompt "The king said" --report-prompt "One day, a little girl named"

# By then it has read the stories fourteen times, and of the books little. So books again, with stories between them in three windows of ten,
if [ ! -d "$out/mixed-texts" ]; then
  rm -rf "$out/mixed-texts.new"
  mkdir -p "$out/mixed-texts.new"
  cp -P "$out"/books/* "$out/mixed-texts.new/"
  for i in $(seq 30); do ln -s "$out/stories-train.txt" "$out/mixed-texts.new/$i-stories.txt"; done
  mv "$out/mixed-texts.new" "$out/mixed-texts"
fi
finetune mixed "$out/stories/best" "$out/mixed-texts" --batch 8 --steps "${MIXED_STEPS:-2600}" --learning-rate 1e-3 --warmup 60 --weight-decay 0.5 --dropout 0.05 --seed 2 \
  --evaluate-every 325 --report-prompt "Once upon a time, there was a"

# and at last stories alone.
finetune again "$out/mixed" "$out/stories-train.txt" --batch 8 --steps "${LAST_STEPS:-1300}" --learning-rate 5e-4 --warmup 60 --weight-decay 0.5 --dropout 0.1 --seed 3 \
  --evaluate-every 130 --report-prompt "Once upon a time, there was a" --report-prompt "The king said" --report-prompt "One day, a little girl named"

vitrine eval "$out/again/best" "$out/stories-held.txt"
vitrine export "$out/again/best" --format safetensors --type f16 --out "$out/storyteller" --force
