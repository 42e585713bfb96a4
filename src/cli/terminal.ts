/**
 * What a stream can show: how wide it is, whether it takes colour, whether its font knows more than ASCII.
 * How wide a piece of text is on it lives in width.ts.
 */
import { Ansis } from "ansis";

export type Environment = Readonly<Record<string, string | undefined>>;

/** The part of a tty.WriteStream that is looked at. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

export interface Terminal {
  /** A person is watching: cursor movement and hints are welcome. */
  readonly isTTY: boolean;
  /** Asked anew each time, since windows are resized. */
  readonly columns: () => number;
  /** Lines of the window; Infinity of a pipe. */
  readonly rows: () => number;
  /** Block characters, arrows and other scripts; false: ASCII only. */
  readonly unicode: boolean;
  readonly colour: boolean;
  /** Writes styles, or nothing where there is no colour. */
  readonly paint: Ansis;
}

const defaultColumns = 80;
const defaultRows = 24;

/** What a stream can show, by its kind and the environment (NO_COLOR, FORCE_COLOR, COLUMNS, the locale). */
export function terminalOf(stream: Screen, env: Environment, platform: string = process.platform): Terminal {
  const isTTY = stream.isTTY === true;
  const level = colourLevel(isTTY, env, platform);
  return {
    isTTY,
    columns: () => columnsOf(stream, env),
    rows: () => (isTTY && stream.rows !== undefined && stream.rows > 0 ? stream.rows : isTTY ? defaultRows : Infinity),
    unicode: isUnicode(env, platform),
    colour: level > 0,
    paint: new Ansis(level),
  };
}

/** Columns of the window; of a pipe, what COLUMNS says, else 80. */
function columnsOf(stream: Screen, env: Environment): number {
  if (stream.isTTY === true && stream.columns !== undefined && stream.columns > 0) return stream.columns;
  const told = Number(env.COLUMNS);
  return Number.isInteger(told) && told > 0 ? told : defaultColumns;
}

/** 0 none, 1 sixteen colours, 2 256, 3 all. NO_COLOR (no-color.org) wins over FORCE_COLOR; a pipe has none unless forced. */
function colourLevel(isTTY: boolean, env: Environment, platform: string): number {
  if (env.NO_COLOR) return 0;
  if (!isTTY && !env.FORCE_COLOR) return 0;
  return new Ansis({ process: { argv: [], env, platform, stdout: { isTTY } } }).level;
}

/**
 * UTF-8 by the locale (LC_ALL over LC_CTYPE over LANG) and a terminal that is not the dumbest.
 * No locale at all (a container, a service) contradicts nothing, and the text itself is written as UTF-8 anyway.
 */
function isUnicode(env: Environment, platform: string): boolean {
  if (env.TERM === "dumb") return false;
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG;
  if (locale) return /utf-?8/i.test(locale);
  if (platform === "win32") return Boolean(env.WT_SESSION || env.TERM_PROGRAM || env.TERM);
  return true;
}
