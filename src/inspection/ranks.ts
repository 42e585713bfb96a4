/**
 * The rank of a few tokens among all logits of a row, in one walk over the row.
 * Ranks count from 1 = the largest logit; ties go to the lower id, as everywhere in Vitrine.
 */

/** (K,) ranks of the `ids` (each once) among the logits of one row (V,). */
export function ranksIn(row: Float32Array, ids: Int32Array): Int32Array {
  const K = ids.length;
  const order = Array.from(ids.keys()).sort((a, b) => row[ids[b]] - row[ids[a]] || ids[a] - ids[b]); // best first
  const sorted = Int32Array.from(order, (at) => ids[at]);
  const values = Float32Array.from(sorted, (id) => row[id]);

  // ahead[k]: how many tokens stand directly before the k-th of ours, behind the one before it.
  const ahead = new Int32Array(K + 1);
  const lowest = K > 0 ? values[K - 1] : Infinity;
  for (let id = 0; id < row.length; id++) {
    const logit = row[id];
    if (logit < lowest) continue; // most of a vocabulary
    let low = 0;
    let high = K;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (logit > values[middle] || (logit === values[middle] && id < sorted[middle])) high = middle;
      else low = middle + 1;
    }
    ahead[low]++;
  }

  const ranks = new Int32Array(K);
  let before = 0;
  for (let k = 0; k < K; k++) {
    before += ahead[k];
    ranks[order[k]] = before + 1;
  }
  return ranks;
}
