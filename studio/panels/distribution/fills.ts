/** The moving bars of a column as one path: one attribute changes for all its rows, where an element each would cost a style each. */

/** Where one row's bar may lie, in pixels of the drawing. */
export interface Track {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Bars as long as `parts` (0 to 1) of their tracks and at least `least` pixels, one for each track; undefined leaves one out. */
export function fillPath(tracks: readonly Track[], parts: readonly (number | undefined)[], least = 1): string {
  let path = "";
  for (const [i, { x, y, width, height }] of tracks.entries()) {
    const part = parts[i];
    if (part !== undefined) path += roundedBar(x, y, Math.max(least, Math.min(1, part) * width), height);
  }
  return path;
}

function roundedBar(x: number, y: number, width: number, height: number): string {
  const r = Math.min(3, width / 2, height / 2);
  const [across, down] = [(width - 2 * r).toFixed(1), (height - 2 * r).toFixed(1)];
  const round = r.toFixed(1);
  return `M${(x + r).toFixed(1)} ${y}h${across}q${round} 0 ${round} ${round}v${down}q0 ${round} -${round} ${round}h-${across}q-${round} 0 -${round} -${round}v-${down}q0 -${round} ${round} -${round}z`;
}
