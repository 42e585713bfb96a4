/** The tape as text again, for what takes text: the command line, the tokenizer. */
import type { TreeNode } from "./tree.ts";

const reader = new TextDecoder();

/**
 * The text that the tokens before `place` stand for. What the visitor typed is taken as typed, what was generated from its bytes, so that
 * characters split over tokens are whole again.
 */
export function textBefore(path: readonly TreeNode[], place: number, prompt: string, promptTip: TreeNode | undefined): string {
  const end = promptTip === undefined ? 0 : promptTip.position + 1;
  const whole = place >= end && (end === 0 || path[end - 1] === promptTip);
  const nodes = path.slice(whole ? end : 0, place).filter(({ token }) => !token.special);
  const bytes = nodes.flatMap(({ token }) => [...token.bytes]);
  const text = reader.decode(Uint8Array.from(bytes));
  if (whole) return prompt + text;
  return text.startsWith(" ") && !prompt.startsWith(" ") ? text.slice(1) : text; // SentencePiece puts a space before the first word
}
