/**
 * The number formats a GGUF tensor may have: ggml's numbers for them, and the bytes they take.
 * Plain floats are base/dtype.ts's, blocks quantised-blocks.ts's; the other formats of ggml are only named here, for messages.
 */
import { bytesPerElement, type FloatType } from "../base/dtype.ts";
import { BLOCK_LENGTH, blockBytes, type BlockType, isBlockType } from "./quantised-blocks.ts";

export type GgufType = FloatType | BlockType;

/** ggml's number for each format that is read and written here. */
export const typeNumbers: Readonly<Record<GgufType, number>> = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 8, BF16: 30 };

/** Formats that occur in published files and are not read. */
const otherNames: Readonly<Record<number, string>> = {
  3: "Q4_1",
  6: "Q5_0",
  7: "Q5_1",
  9: "Q8_1",
  10: "Q2_K",
  11: "Q3_K",
  12: "Q4_K",
  13: "Q5_K",
  14: "Q6_K",
  15: "Q8_K",
  16: "IQ2_XXS",
  17: "IQ2_XS",
  18: "IQ3_XXS",
  19: "IQ1_S",
  20: "IQ4_NL",
  21: "IQ3_S",
  22: "IQ2_S",
  23: "IQ4_XS",
  24: "I8",
  25: "I16",
  26: "I32",
  27: "I64",
  28: "F64",
  29: "IQ1_M",
  34: "TQ1_0",
  35: "TQ2_0",
  39: "MXFP4",
};

/** The format of a number; undefined when it is not read here. */
export function typeNumbered(number: number): GgufType | undefined {
  return (Object.keys(typeNumbers) as GgufType[]).find((type) => typeNumbers[type] === number);
}

/** A format that is not read, in words for messages. */
export function nameOfType(number: number): string {
  return otherNames[number] ?? `of ggml type ${number}`;
}

/** Bytes that `count` numbers take; of a block format, whole blocks. */
export function storedLength(type: GgufType, count: number): number {
  return isBlockType(type) ? (count / BLOCK_LENGTH) * blockBytes[type] : count * bytesPerElement[type];
}
