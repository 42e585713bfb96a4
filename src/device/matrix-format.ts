/**
 * What all devices say alike about matrices of small numbers: the length of a block, which blocks of a matrix may be written,
 * and which numbers a format cannot hold. What is left of a number is defined in reference/rounding.ts.
 */
import { internal, VitrineError } from "../base/errors.ts";
import type { MatrixBlock, MatrixFormat } from "./device.ts";

/** Inputs that share a scale in int8 and int4. */
export const blockLength = 32;

/** A matrix is written in whole runs of so many inputs. */
export const inputsAtOnce: Readonly<Record<MatrixFormat, number>> = { f32: 1, f16: 1, int8: blockLength, int4: blockLength };

/** The least magnitude that does not fit: of fp16, or for which a block's scale is none. */
export const overflowsFrom: Readonly<Record<MatrixFormat, number>> = { f32: Infinity, f16: 65520, int8: 127 * 65520, int4: 8 * 65520 };

/** The error for a number that a format cannot hold. */
export function overflow(format: MatrixFormat): VitrineError {
  return new VitrineError(
    `weights as ${format}: a number is not finite, or of magnitude ${overflowsFrom[format]} or more, which ${format} cannot hold; use --weights f32`,
    { blame: "work" },
  );
}

/** Throws when a block of a matrix, or the count of numbers for it, does not fit. */
export function checkBlock(
  matrix: { readonly outputs: number; readonly inputs: number; readonly format: MatrixFormat },
  values: number,
  block: MatrixBlock,
): void {
  const { output, outputs, input, inputs } = block;
  const inside = output >= 0 && outputs >= 0 && input >= 0 && inputs >= 0 && output + outputs <= matrix.outputs && input + inputs <= matrix.inputs;
  if (!inside) throw internal(`writeMatrix: block ${JSON.stringify(block)} is outside (${matrix.outputs}, ${matrix.inputs})`);
  if (values !== outputs * inputs) throw internal(`writeMatrix: ${values} numbers for block ${JSON.stringify(block)}`);
  const [end, unit] = [input + inputs, inputsAtOnce[matrix.format]];
  if (input % unit !== 0 || (end % unit !== 0 && end !== matrix.inputs))
    throw internal(`writeMatrix: inputs ${input} to ${end} of ${matrix.inputs} are not whole blocks of ${unit}`);
}
