/** What a model still sees of a text longer than its context. Pure, so that page and worker agree. */

/**
 * Where the window of `vitrine generate` begins once `length` tokens stand there, of which the first `prompt` were given at once:
 * a prompt that is too long loses just what does not fit; later the window moves by an eighth of the context at a time.
 */
export function windowStart(prompt: number, length: number, context: number): number {
  const slide = Math.max(1, Math.floor(context / 8));
  let start = Math.max(0, Math.min(prompt, length) - context);
  for (let at = Math.min(prompt, length) + 1; at <= length; at++) if (at - start > context) start += Math.max(1, Math.min(slide, at - start - 1));
  return start;
}
