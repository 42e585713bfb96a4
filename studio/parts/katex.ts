/** KaTeX with its style sheet, loaded with the first formula. */
import "katex/dist/katex.min.css";
import { renderToString } from "katex";

export function render(tex: string, display: boolean): string {
  return renderToString(tex, { displayMode: display, throwOnError: false, output: "htmlAndMathml" });
}
