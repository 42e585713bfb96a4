/**
 * The few bytes of protocol buffers that an ONNX file needs: a message is built from its fields in order.
 * Field numbers are those of onnx.proto (see _onnx.ts).
 */

/** A growing message. */
export class Message {
  readonly #parts: Uint8Array[] = [];

  /** A whole number, also negative. */
  int(field: number, value: number | bigint): this {
    return this.#push(varint(field << 3), varint(value));
  }

  /** A 32-bit float. */
  float(field: number, value: number): this {
    return this.#push(varint((field << 3) | 5), new Uint8Array(new Float32Array([value]).buffer));
  }

  text(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  bytes(field: number, value: Uint8Array): this {
    return this.#push(varint((field << 3) | 2), varint(value.length), value);
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.encode());
  }

  encode(): Uint8Array {
    const out = new Uint8Array(this.#parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }

  #push(...parts: Uint8Array[]): this {
    this.#parts.push(...parts);
    return this;
  }
}

/** Seven bits a byte, lowest first; negative numbers as 64-bit two's complement. */
function varint(value: number | bigint): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const out: number[] = [];
  do {
    out.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Uint8Array.from(out);
}
