import { expect, test } from "vitest";
import { fillPath } from "./fills.ts";

const tracks = [0, 1, 2].map((row) => ({ x: 10, y: row * 23, width: 100, height: 14 }));
/** The right end of every bar: where it begins, its rounded corners, and what lies between. */
const widths = (path: string): number[] =>
  [...path.matchAll(/M([\d.]+) [\d.]+h([\d.]+)q([\d.]+)/g)].map(([, x, across, round]) => Number(x) - 10 + Number(across) + Number(round));

test("bars are as long as their parts, never nothing, never longer than the track", () => {
  expect(widths(fillPath(tracks, [0.25, 0, 7]))).toEqual([25, 1, 100]);
});

test("a row can have none", () => {
  const path = fillPath(tracks, [undefined, 0.5, undefined], 8);
  expect(widths(path)).toEqual([50]);
  expect(path).toMatch(/^M13\.0 23h/);
});
