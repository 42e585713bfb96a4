/** A head's attention pattern as a picture file: a square for each look, as dark as it is strong, with the tokens along both sides. */
import type { HeadStages } from "../inspection/inspection.ts";

const cell = 18;
const gap = 8;
/** Columns of a label, at most, and the width of one. */
const longest = 14;
const letter = 7.3;

/** `labels`: what to call each position. The picture is complete in itself and has a title for those who hear it. */
export function attentionSvg({ layer, head, positions: T, pattern }: HeadStages, labels: readonly string[]): string {
  const names = labels.map((label) => escaped(label.length > longest ? `${label.slice(0, longest - 1)}…` : label));
  const margin = Math.ceil(longest * letter) + 2 * gap;
  const side = margin + T * cell + gap;
  const squares: string[] = [];
  for (let i = 0; i < T; i++)
    for (let j = 0; j <= i; j++) {
      const p = pattern[i * T + j];
      if (p < 0.005) continue;
      const title = `<title>${names[i]} looks at ${names[j]}: ${(100 * p).toFixed(1)} %</title>`;
      squares.push(
        `<rect x="${margin + j * cell}" y="${margin + i * cell}" width="${cell - 1}" height="${cell - 1}" fill-opacity="${p.toFixed(3)}">${title}</rect>`,
      );
    }
  const middle = (t: number): number => margin + t * cell + cell / 2;
  const rows = names.map((name, t) => `<text x="${margin - gap}" y="${middle(t)}" text-anchor="end" dominant-baseline="central">${name}</text>`);
  const columns = names.map(
    (name, t) => `<text transform="translate(${middle(t)} ${margin - gap}) rotate(-90)" dominant-baseline="central">${name}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${side} ${side}" width="${side}" height="${side}" role="img">`,
    `<title>Attention pattern of head ${layer}.${head}: rows look at columns</title>`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    `<g font-family="ui-monospace, monospace" font-size="12" fill="#222222" xml:space="preserve">`,
    ...rows,
    ...columns,
    `</g>`,
    `<rect x="${margin}" y="${margin}" width="${T * cell}" height="${T * cell}" fill="#f4f4f4"/>`,
    `<g fill="#0b6e63">`,
    ...squares,
    `</g>`,
    `</svg>`,
    "",
  ].join("\n");
}

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => entities[character]);
}
