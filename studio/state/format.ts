/** Numbers and tokens as people read them, the same everywhere. */

/** 0.6136 -> "61.4 %"; small ones keep two digits, so that no probability reads as nothing. */
export function percent(p: number): string {
  const value = p * 100;
  if (value === 0) return "0 %";
  if (value >= 99.95 && value < 100) return ">99.9 %";
  if (value >= 10) return `${value.toFixed(1)} %`;
  if (value >= 0.1) return `${value.toFixed(2)} %`;
  if (value >= 0.001) return `${value.toFixed(3)} %`;
  if (value >= 1e-6) return `${value.toFixed(Math.ceil(-Math.log10(value)))} %`;
  return `${powerOfTen(value)} %`;
}

/** 2e-10 -> "2·10⁻¹⁰". */
function powerOfTen(value: number): string {
  const [digit, power] = value.toExponential(0).split("e");
  const raised = [...power].map((sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(sign)])).join("");
  return `${digit === "1" ? "" : `${digit}·`}10${raised}`;
}

/** A logit or an activation: sign always there, minus as a real minus. */
export function signed(x: number, digits = 2): string {
  if (!Number.isFinite(x)) return x < 0 ? "−∞" : x > 0 ? "+∞" : "?";
  const text = Math.abs(x).toFixed(digits);
  return Number(text) === 0 ? text : (x < 0 ? "−" : "+") + text;
}

/** Made once: toLocaleString makes one for every number. */
const grouped = new Intl.NumberFormat("en-US");

export function whole(n: number): string {
  return grouped.format(n);
}

/** Letters of scripts that run from right to left. */
const rightToLeft = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

/** A token with its spaces and line breaks made visible. One that runs from right to left does not turn the words and numbers beside it. */
export function visible(text: string): string {
  if (text === "") return "∅";
  const shown = text.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll("\r", "␍");
  return rightToLeft.test(text) ? `\u2068${shown}\u2069` : shown;
}

/** One word of a shell. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
