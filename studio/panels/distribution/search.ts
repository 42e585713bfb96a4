/** Finding tokens in the whole vocabulary by what they say or by id. */

interface Readable {
  readonly lower: string;
  readonly trimmed: string;
}

const readables = new WeakMap<readonly string[], readonly Readable[]>();

export interface Found {
  readonly ids: readonly number[];
  /** Of which `ids` are the best. */
  readonly count: number;
}

/**
 * Ids whose text has `query` in it, at most `most`: the same text first, then the same but for spaces and case, then beginnings, then the rest;
 * within each the higher logit first. "␣" in the query is a space, "#42" is the id 42.
 */
export function findTokens(texts: readonly string[], logits: Float32Array, query: string, most: number): Found {
  if (query === "") return { ids: [], count: 0 };
  const byId = /^#(\d+)$/.exec(query);
  if (byId) {
    const id = Number(byId[1]);
    return id < texts.length ? { ids: [id], count: 1 } : { ids: [], count: 0 };
  }
  const exact = query.replaceAll("␣", " ").replaceAll("⏎", "\n").replaceAll("⇥", "\t");
  const wanted = exact.toLowerCase();
  const trimmed = wanted.trim();
  let readable = readables.get(texts);
  if (!readable) {
    readable = texts.map((text) => ({ lower: text.toLowerCase(), trimmed: text.toLowerCase().trim() }));
    readables.set(texts, readable);
  }
  const tiers: number[][] = [[], [], [], []];
  let count = 0;
  for (const [id, one] of readable.entries()) {
    if (!one.lower.includes(wanted)) continue;
    count++;
    const tier = texts[id] === exact ? 0 : one.trimmed === trimmed ? 1 : one.lower.startsWith(wanted) || one.trimmed.startsWith(wanted) ? 2 : 3;
    insert(tiers[tier], id, logits, most);
  }
  return { ids: tiers.flat().slice(0, most), count };
}

/** Into the best `most` so far, best first. */
function insert(ids: number[], id: number, logits: Float32Array, most: number): void {
  let at = ids.length;
  while (at > 0 && logits[ids[at - 1]] < logits[id]) at--;
  if (at >= most) return;
  ids.splice(at, 0, id);
  if (ids.length > most) ids.pop();
}
