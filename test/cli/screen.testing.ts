/**
 * A terminal as small as tests need: what a person would see after the bytes a command wrote. Knows line feeds, carriage returns,
 * moving up, erasing to the end of the line and of the screen; throws for any other escape sequence but styles, and where the last column
 * is written to, which makes some terminals wrap.
 */
import { widthOf } from "../../src/cli/width.ts";

export class Screen {
  readonly #columns: number;
  readonly #rows: number;
  readonly #lines: string[] = [""];
  /** Line and column of the cursor. */
  #row = 0;
  #column = 0;

  constructor(columns: number, rows: number) {
    this.#columns = columns;
    this.#rows = rows;
  }

  write(text: string): void {
    const sequence = new RegExp(String.raw`${String.fromCharCode(27)}\[([\d;]*)([A-Za-z])|([\r\n])|([^${String.fromCharCode(27)}\r\n])`, "gu");
    let at = 0;
    for (const match of text.matchAll(sequence)) {
      if (match.index !== at) throw new Error(`screen: ${JSON.stringify(text.slice(at, match.index))}`);
      at = match.index + match[0].length;
      const [, count, command, control, letter] = match;
      if (letter !== undefined) this.#put(letter);
      else if (control === "\r") this.#column = 0;
      else if (control === "\n") this.#newLine();
      // What has left the window cannot be reached any more.
      else if (command === "A") this.#row = Math.max(this.#lines.length - this.#rows, this.#row - Number(count || 1), 0);
      else if (command === "K") this.#erase();
      else if (command === "J") {
        this.#erase();
        this.#lines.splice(this.#row + 1);
      } else if (command !== "m") throw new Error(`screen: ESC[${count}${command}`);
    }
  }

  /** All lines since the beginning, those that left the window included. */
  text(): string {
    return this.#lines.map((line) => line.trimEnd()).join("\n");
  }

  #put(letter: string): void {
    if (this.#column >= this.#columns - 1) throw new Error(`screen: a line reaches column ${this.#columns}: ${this.#lines[this.#row]}`);
    const line = this.#lines[this.#row].padEnd(this.#column);
    this.#lines[this.#row] = line.slice(0, this.#column) + letter + line.slice(this.#column + 1);
    this.#column += Math.max(1, widthOf(letter));
  }

  #newLine(): void {
    this.#row++;
    this.#column = 0;
    if (this.#row === this.#lines.length) this.#lines.push("");
  }

  #erase(): void {
    this.#lines[this.#row] = this.#lines[this.#row].slice(0, this.#column);
  }
}
