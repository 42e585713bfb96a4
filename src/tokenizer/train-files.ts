/**
 * A trained vocabulary as the files of a tokenizer folder, which Hugging Face's `tokenizers`, transformers and load.ts read alike.
 * Training is train.ts's.
 */
import type { FolderWriter } from "../base/bytes.ts";
import { cl100kPattern } from "./cutters.ts";
import type { TrainedBpe } from "./train.ts";
import { utf8Bytes } from "./utf8.ts";

/** Writes tokenizer.json and tokenizer_config.json. What the writer throws is passed on. */
export async function saveTokenizer(trained: TrainedBpe, into: FolderWriter): Promise<void> {
  await into.write("tokenizer_config.json", [utf8Bytes(trainedTokenizerConfig(trained))]);
  await into.write("tokenizer.json", [utf8Bytes(trainedTokenizerJson(trained))]);
}

const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };

/** tokenizer.json, as GPT-2's: transformers, `tokenizers` and load.ts read it. */
export function trainedTokenizerJson({ special, pattern, tokens, merges }: TrainedBpe): string {
  const split = { type: "Split", pattern: { Regex: cl100kPattern(3) }, behavior: "Isolated", invert: false };
  return JSON.stringify(
    {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: special.map((content, id) => ({ id, content, ...plain, special: true })),
      normalizer: null,
      pre_tokenizer: pattern === "gpt2" ? byteLevel : { type: "Sequence", pretokenizers: [split, { ...byteLevel, use_regex: false }] },
      post_processor: { ...byteLevel, trim_offsets: false },
      decoder: byteLevel,
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges: merges.map(([left, right]) => `${left} ${right}`), // no token holds a space; older readers know only this form
      },
    },
    undefined,
    1,
  );
}

const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false };

/** tokenizer_config.json: `<|endoftext|>` begins and ends texts where it is special, else `<s>` and `</s>` where they are. */
export function trainedTokenizerConfig({ special }: TrainedBpe): string {
  const has = (token: string): string | undefined => (special.includes(token) ? token : undefined);
  const end = has("<|endoftext|>");
  return JSON.stringify(
    {
      tokenizer_class: "PreTrainedTokenizerFast",
      bos_token: end ?? has("<s>"),
      eos_token: end ?? has("</s>"),
      unk_token: end ?? has("<unk>"),
      add_prefix_space: false,
      clean_up_tokenization_spaces: false,
      added_tokens_decoder: Object.fromEntries(special.map((content, id) => [id, { content, ...plain, special: true }])),
    },
    undefined,
    1,
  );
}
