/**
 * Numbers as coloured cells, the same in every panel: weights are square, blue for positive and red for negative; data is round and grey.
 * Lightness tells the magnitude, and where there is room the number stands in the cell with its sign.
 * Colours come from theme/tokens.css; Cells.svelte shows a few cells, a canvas with the functions below many.
 */
import { signed } from "../state/format.ts";

export type CellKind = "weight" | "data";
export type Rgb = readonly [red: number, green: number, blue: number];

/** Shades from nothing (0) to strongest (255), and what can be read on each. */
export interface Ramp {
  readonly rgb: readonly Rgb[];
  readonly css: readonly string[];
  readonly ink: readonly string[];
}

export interface CellPalette {
  readonly plus: Ramp;
  readonly minus: Ramp;
  readonly data: Ramp;
  readonly inUse: string;
  readonly ground: string;
  readonly text: string;
  readonly quiet: string;
  readonly line: string;
  readonly mono: string;
}

const shades = 256;
/** Smallest side of a cell, in CSS pixels, that has room for its number. */
export const printedSize = 36;

/** The theme's colours as they are now. */
export function cellPalette(element: Element): CellPalette {
  const style = getComputedStyle(element);
  const variable = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const stops = (name: string): Rgb[] => [variable("sunken"), ...[1, 2, 3, 4].map((i) => variable(`${name}-${i}`))].map(rgbOf);
  return {
    plus: ramp(stops("plus")),
    minus: ramp(stops("minus")),
    data: ramp(stops("data")),
    inUse: variable("in-use"),
    ground: variable("ground"),
    text: variable("text"),
    quiet: variable("quiet"),
    line: variable("line-strong"),
    mono: variable("mono"),
  };
}

/** "#1f6feb" -> its three numbers. */
export function rgbOf(hex: string): Rgb {
  const long = hex.length === 4 ? `#${[...hex.slice(1)].map((digit) => digit + digit).join("")}` : hex;
  const value = Number.parseInt(long.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/** Evenly between the stops. */
export function ramp(stops: readonly Rgb[]): Ramp {
  const rgb = Array.from({ length: shades }, (_, i): Rgb => {
    const place = (i / (shades - 1)) * (stops.length - 1);
    const from = Math.min(Math.floor(place), stops.length - 2);
    const mix = (channel: 0 | 1 | 2): number => Math.round(stops[from][channel] + (place - from) * (stops[from + 1][channel] - stops[from][channel]));
    return [mix(0), mix(1), mix(2)];
  });
  return { rgb, css: rgb.map((colour) => `rgb(${colour.join(" ")})`), ink: rgb.map(inkOn) };
}

/** Black or white, whichever is read better on a colour (WCAG 2, relative luminance). */
export function inkOn(colour: Rgb): string {
  const [r, g, b] = colour.map((channel) => (channel <= 10 ? channel / 3295 : ((channel / 255 + 0.055) / 1.055) ** 2.4));
  const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return (luminance + 0.05) ** 2 > 1.05 * 0.0544 ? "#0b0e14" : "#ffffff";
}

/** Which shade a number has when `scale` is the magnitude of the strongest one. */
export function shadeOf(x: number, scale: number): number {
  if (!(scale > 0)) return 0;
  return Math.min(shades - 1, Math.round((Math.abs(x) / scale) * (shades - 1)));
}

export function rampOf(palette: CellPalette, kind: CellKind, x: number): Ramp {
  if (kind === "data") return palette.data;
  return x < 0 ? palette.minus : palette.plus;
}

export interface CellGrid {
  readonly rows: number;
  readonly columns: number;
  /** Undefined = not there yet: left empty. */
  readonly value: (row: number, column: number) => number | undefined;
  readonly kind: CellKind;
  readonly scale: number;
}

export interface CellPlace {
  readonly left: number;
  readonly top: number;
  /** Side of a cell. */
  readonly size: number;
}

/** Cells one by one, with their numbers where these fit. For some ten thousand cells; more are `gridImage`'s. */
export function drawCells(context: CanvasRenderingContext2D, palette: CellPalette, grid: CellGrid, { left, top, size }: CellPlace, digits = 2): void {
  const gap = size >= 12 ? 1 : size >= 5 ? 0.5 : 0;
  const side = size - gap;
  const printed = size >= printedSize;
  if (printed) {
    context.font = `${size >= 44 && digits < 3 ? 12 : 11}px ${palette.mono}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
  }
  for (let row = 0; row < grid.rows; row++)
    for (let column = 0; column < grid.columns; column++) {
      const x = grid.value(row, column);
      if (x === undefined) continue;
      const { css, ink } = rampOf(palette, grid.kind, x);
      const shade = shadeOf(x, grid.scale);
      const [cellLeft, cellTop] = [left + column * size, top + row * size];
      context.fillStyle = css[shade];
      if (grid.kind === "data") {
        context.beginPath();
        context.roundRect(cellLeft, cellTop, side, side, side / 2);
        context.fill();
      } else context.fillRect(cellLeft, cellTop, side, side);
      if (!printed) continue;
      context.fillStyle = ink[shade];
      context.fillText(signed(x, digits), cellLeft + side / 2, cellTop + side / 2 + 1);
    }
}

/** One pixel a cell, to be drawn larger without smoothing. `values` is (rows, columns); NaN = not there yet. */
export function gridImage(palette: CellPalette, values: Float32Array, columns: number, kind: CellKind, scale: number): ImageData {
  const image = new ImageData(columns, values.length / columns);
  for (const [i, x] of values.entries()) {
    if (Number.isNaN(x)) continue;
    const [r, g, b] = rampOf(palette, kind, x).rgb[shadeOf(x, scale)];
    image.data.set([r, g, b, 255], 4 * i);
  }
  return image;
}
