/**
 * Numbers as people read them: percentages, grouped digits, sizes, times.
 */

/** "96.9 %", "0.04 %", "<0.01 %": seven columns wide, and never 0 or 100 for what is not. `nothing` stands for exactly 0. */
export function percent(p: number, nothing = "0.0 %"): string {
  if (p === 0) return nothing.padStart(7);
  if (p < 0.00005) return "<0.01 %";
  if (p > 0.9995 && p < 1) return ">99.9 %";
  return `${(100 * p).toFixed(p < 0.000995 ? 2 : 1)} %`.padStart(7);
}

/** "175,181,291,520". */
export function grouped(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** "1 token", "2,000 tokens". */
export function counted(n: number, noun: string): string {
  return `${grouped(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** "1.2 GB", decimal units as disks and downloads count. */
export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = n;
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** "0.05 s", "12 s", "3 min 20 s". */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds < 0.995 ? seconds.toFixed(2) : seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Tokens or other things a second: "38.2", "1,240". */
export function rate(perSecond: number): string {
  return perSecond < 99.95 ? perSecond.toFixed(1) : grouped(Math.round(perSecond));
}
