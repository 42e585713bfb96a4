/**
 * Telling contents apart: MurmurHash3 (x86, 128 bits; Austin Appleby, public domain) over bytes that come piece by piece.
 * It finds damage and mix-ups; it is no defence against somebody who builds collisions on purpose.
 */

export interface Fingerprint {
  update(bytes: Uint8Array): void;
  /** 32 hexadecimal digits of everything so far. Ends it. */
  digest(): string;
}

const constants = [0x239b961b, 0xab0e9789, 0x38b34ae5, 0xa1e38b93] as const;

/** Bytes gathered before they are mixed: a whole number of blocks of 16. */
const ROOM = 1 << 14;

export function fingerprint(): Fingerprint {
  const bytes = new Uint8Array(ROOM);
  const words = new Uint32Array(bytes.buffer);
  let held = 0;
  let total = 0;
  let [h1, h2, h3, h4] = [0, 0, 0, 0];

  const mix = (count: number): void => {
    const [c1, c2, c3, c4] = constants;
    for (let at = 0; at < count / 4; at += 4) {
      h1 ^= Math.imul(turn(Math.imul(words[at], c1), 15), c2);
      h1 = (Math.imul(turn(h1, 19) + h2, 5) + 0x561ccd1b) | 0;
      h2 ^= Math.imul(turn(Math.imul(words[at + 1], c2), 16), c3);
      h2 = (Math.imul(turn(h2, 17) + h3, 5) + 0x0bcaa747) | 0;
      h3 ^= Math.imul(turn(Math.imul(words[at + 2], c3), 17), c4);
      h3 = (Math.imul(turn(h3, 15) + h4, 5) + 0x96cd1c35) | 0;
      h4 ^= Math.imul(turn(Math.imul(words[at + 3], c4), 18), c1);
      h4 = (Math.imul(turn(h4, 13) + h1, 5) + 0x32ac3b17) | 0;
    }
  };

  return {
    update(piece) {
      total += piece.length;
      for (let at = 0; at < piece.length;) {
        const taken = Math.min(ROOM - held, piece.length - at);
        bytes.set(piece.subarray(at, at + taken), held);
        held += taken;
        at += taken;
        if (held === ROOM) {
          mix(ROOM);
          held = 0;
        }
      }
    },

    digest() {
      const whole = held - (held % 16);
      mix(whole);
      // The rest, zeros behind it: a word of zeros changes nothing.
      bytes.copyWithin(0, whole, held);
      bytes.fill(0, held - whole, 16);
      const [c1, c2, c3, c4] = constants;
      h4 ^= Math.imul(turn(Math.imul(words[3], c4), 18), c1);
      h3 ^= Math.imul(turn(Math.imul(words[2], c3), 17), c4);
      h2 ^= Math.imul(turn(Math.imul(words[1], c2), 16), c3);
      h1 ^= Math.imul(turn(Math.imul(words[0], c1), 15), c2);

      for (let i = 0; i < 2; i++) {
        if (i === 0) [h1, h2, h3, h4] = [h1 ^ total, h2 ^ total, h3 ^ total, h4 ^ total];
        else [h1, h2, h3, h4] = [finish(h1), finish(h2), finish(h3), finish(h4)];
        h1 = (h1 + h2 + h3 + h4) | 0;
        [h2, h3, h4] = [(h2 + h1) | 0, (h3 + h1) | 0, (h4 + h1) | 0];
      }
      return [h1, h2, h3, h4].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
    },
  };
}

/** Of one text. */
export function fingerprintOf(text: string): string {
  const all = fingerprint();
  all.update(new TextEncoder().encode(text));
  return all.digest();
}

function turn(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

function finish(word: number): number {
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return word ^ (word >>> 16);
}
