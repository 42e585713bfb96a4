/** Heights and widths of the rows, where what stands on the loop is (centre) and where the loop leaves and joins; known before they are drawn: rows out of sight are only a place of this height. */
export type Mode = "wide" | "stacked";

/** Of the column of layer numbers. */
export const gutter = 36;

export const rows: Readonly<
  Record<Mode, { readonly height: number; readonly trunk: number; readonly centre: number; readonly leave: number; readonly join: number }>
> = {
  wide: { height: 54, trunk: 62, centre: 27, leave: 16, join: 38 },
  stacked: { height: 102, trunk: 44, centre: 23, leave: 14, join: 34 },
};

/** A stacked row to which nothing is added has a strip less. */
export function heightOf(mode: Mode, adds: boolean): number {
  return mode === "stacked" && !adds ? 80 : rows[mode].height;
}

/** A column needs this much to put all of a row on one line. */
const wideFrom = 640;

export function modeOf(panelWidth: number, columns: number): Mode {
  return (panelWidth - gutter) / Math.max(1, columns) >= wideFrom ? "wide" : "stacked";
}
