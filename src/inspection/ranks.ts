/**
 * The rank of a few tokens among all logits of a row.
 * Ranks count from 1 = the largest logit; ties go to the lower id, as everywhere in Vitrine.
 */

/** (K,) ranks of the `ids` among the logits of one row (V,). */
export function ranksIn(row: Float32Array, ids: Int32Array): Int32Array {
  return ids.map((id) => {
    const logit = row[id];
    let ahead = 0;
    // Comparisons become numbers without a branch, which a processor could only guess: three times as fast, see docs/log.md.
    for (let other = 0; other < id; other++) ahead += Number(row[other] >= logit);
    for (let other = id + 1; other < row.length; other++) ahead += Number(row[other] > logit);
    return ahead + 1;
  });
}
