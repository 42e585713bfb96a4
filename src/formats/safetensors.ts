/**
 * Reading safetensors files: the header at once, each tensor's bytes only when asked for.
 * safetensors-header.ts checks what the file claims; sharded.ts joins several files; write-safetensors.ts is the way back.
 */
import type { ByteSource } from "../base/bytes.ts";
import { FormatError, internal, nearest, quoted } from "../base/errors.ts";
import { elements } from "../base/shape.ts";
import { readHeader } from "./safetensors-header.ts";
import { decodeStored, storedBytes } from "./stored-type.ts";
import type { TensorInfo, TensorSource } from "./tensor-source.ts";

/** Data is read and converted in pieces of this size, so reading a tensor needs its fp32 size and little more. */
const BLOCK_BYTES = 8 * 1024 * 1024;

/**
 * Opens a safetensors file, reading its header alone. The result owns `source` and closes it; so does a failure here.
 * Throws FormatError for anything that does not keep the format's rules, before any data is read.
 */
export async function openSafetensors(source: ByteSource): Promise<TensorSource> {
  try {
    const { tensors, metadata } = await readHeader(source);
    return {
      name: source.name,
      tensors,
      metadata,
      read: async (name, start = 0, end, into) => {
        const tensor = tensorNamed(source.name, tensors, name);
        const count = elements(tensor.shape);
        end ??= count;
        const inside = Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start <= end && end <= count;
        if (!inside) throw internal(`${source.name}: elements ${start} to ${end} of tensor ${quoted(name)}, which has ${count}`);

        const size = storedBytes[tensor.dtype];
        const out = into?.subarray(0, end - start) ?? new Float32Array(end - start);
        for (let from = start; from < end; from += BLOCK_BYTES / size) {
          const to = Math.min(end, from + BLOCK_BYTES / size);
          // fp32 is read to where it belongs, as bytes: no second array, and every NaN keeps its bits.
          const place = tensor.dtype === "F32" ? new Uint8Array(out.buffer, out.byteOffset + (from - start) * 4, (to - from) * 4) : undefined;
          const bytes = await source.read(tensor.start + from * size, tensor.start + to * size, place);
          if (bytes.length !== (to - from) * size) throw new FormatError(`${source.name}: became shorter while it was read; fetch it again`);
          if (place === undefined) out.set(decodeStored(tensor.dtype, bytes), from - start);
          else if (bytes.buffer !== place.buffer) place.set(bytes);
        }
        return out;
      },
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** Throws FormatError with the nearest name when there is no such tensor. */
export function tensorNamed<T extends TensorInfo>(file: string, tensors: ReadonlyMap<string, T>, name: string): T {
  const tensor = tensors.get(name);
  if (tensor) return tensor;
  const meant = nearest(name, tensors.keys());
  throw new FormatError(
    `${file}: no tensor ${quoted(name)} among its ${tensors.size}${meant === undefined ? "" : `; did you mean ${quoted(meant)}?`}`,
  );
}
