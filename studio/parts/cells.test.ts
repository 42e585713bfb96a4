import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inkOn, ramp, rampOf, rgbOf, shadeOf } from "./cells.ts";
import type { CellPalette, Rgb } from "./cells.ts";

const channel = fc.integer({ min: 0, max: 255 });
const colour = fc.tuple(channel, channel, channel);

function luminance(rgb: Rgb): number {
  const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a: Rgb, b: Rgb): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

describe("cells", () => {
  test("colours are read in both spellings", () => {
    expect(rgbOf("#1f6feb")).toEqual([0x1f, 0x6f, 0xeb]);
    expect(rgbOf("#fff")).toEqual([255, 255, 255]);
  });

  test("numbers can be read on every colour", () => {
    fc.assert(fc.property(colour, (rgb) => contrast(rgb, rgbOf(inkOn(rgb))) >= 4.3));
  });

  test("a ramp goes through its stops", () => {
    const stops: Rgb[] = [[0, 0, 0], [10, 20, 30], [200, 100, 50], [210, 120, 60], [255, 255, 255]]; // prettier-ignore
    const { rgb, css } = ramp(stops);
    expect(rgb[0]).toEqual(stops[0]);
    expect(rgb[255]).toEqual(stops[4]);
    expect(css[255]).toBe("rgb(255 255 255)");
    expect(rgb[64][0]).toBeGreaterThanOrEqual(10);
    expect(rgb[63][0]).toBeLessThanOrEqual(10);
  });

  test("a stronger number is never fainter, whatever its sign", () => {
    const number = fc.double({ min: -1e3, max: 1e3, noNaN: true });
    fc.assert(
      fc.property(number, number, fc.double({ min: 1e-3, max: 1e3, noNaN: true }), (a, b, scale) => {
        const [weak, strong] = Math.abs(a) <= Math.abs(b) ? [a, b] : [b, a];
        expect(shadeOf(weak, scale)).toBeLessThanOrEqual(shadeOf(strong, scale));
        expect(shadeOf(a, scale)).toBe(shadeOf(-a, scale));
      }),
    );
    expect(shadeOf(1, 0)).toBe(0);
    expect(shadeOf(5, 5)).toBe(255);
  });

  test("weights are told apart by sign, data is not", () => {
    const [plus, minus, data] = [ramp([[0, 0, 0], [0, 0, 1]]), ramp([[0, 0, 0], [1, 0, 0]]), ramp([[0, 0, 0], [1, 1, 1]])]; // prettier-ignore
    const palette = { plus, minus, data } as CellPalette;
    expect(rampOf(palette, "weight", 0.1)).toBe(plus);
    expect(rampOf(palette, "weight", -0.1)).toBe(minus);
    expect(rampOf(palette, "data", -0.1)).toBe(data);
  });
});
