/**
 * Regular expressions of tokenizer.json (Oniguruma's dialect, as Hugging Face runs them) as JavaScript ones.
 * Covers what byte-level models use; anything else gives undefined, and the tokenizer goes to the library (library.ts), which knows more of the dialect.
 */

/** `\s` and friends mean Unicode's properties in Oniguruma. */
const properties: Readonly<Record<string, string>> = { s: "\\p{White_Space}", S: "\\P{White_Space}", d: "\\p{Nd}", D: "\\P{Nd}" };

/** Letters that Unicode folds onto ASCII ones when case does not matter: long s, kelvin sign. */
const foldedExtras: Readonly<Record<string, string>> = { s: "\u017f", k: "\u212a" };

/** With the flags "gu"; undefined when some part of the pattern is outside the dialect covered here. */
export function patternOf(source: string): RegExp | undefined {
  const translated = translate(source);
  if (translated === undefined) return undefined;
  try {
    return new RegExp(translated, "gu");
  } catch {
    return undefined;
  }
}

/** A pattern that finds exactly this text. */
export function literalPattern(text: string): RegExp {
  return new RegExp(text.replace(/[\\^$.*+?()[\]{}|/]/gu, "\\$&"), "gu");
}

function translate(source: string): string | undefined {
  let out = "";
  let atom = -1; // where in `out` the thing begins that a quantifier would repeat; -1: nothing to repeat
  let atoms = 0;
  const groups: number[] = []; // where open groups begin in `out`

  for (let at = 0; at < source.length;) {
    const rest = source.slice(at, at + 64);
    const character = String.fromCodePoint(source.codePointAt(at)!);
    const quantifier = /^(?:[?*+]|\{\d+(?:,\d*)?\})/.exec(rest)?.[0];
    if (quantifier !== undefined) {
      if (atom < 0) return undefined;
      at += quantifier.length;
      const possessive = source[at] === "+";
      if (possessive && quantifier.length > 1) return undefined; // `{1,3}+` repeats in one dialect and is possessive in another
      if (possessive) {
        // An atomic group: a lookahead never gives back what it has matched.
        const name = `atom${atoms++}`;
        out = `${out.slice(0, atom)}(?:(?=(?<${name}>${out.slice(atom)}${quantifier}))\\k<${name}>)`;
        at++;
      } else {
        out += quantifier;
        if (source[at] === "?") {
          out += "?";
          at++;
        }
      }
      atom = -1;
      continue;
    }
    if (character === "(") {
      const anyCase = /^\(\?i:([A-Za-z'|]*)\)/.exec(rest);
      if (anyCase !== null) {
        atom = out.length;
        out += `(?:${anyCase[1].replace(/[A-Za-z]/g, bothCases)})`;
        at += anyCase[0].length;
        continue;
      }
      const opening = /^\((?:\?(?:[:=!]|<[=!]))?(?!\?)/.exec(rest)?.[0];
      if (opening === undefined) return undefined;
      groups.push(out.length);
      out += opening === "(" ? "(?:" : opening; // nothing refers back to groups
      atom = -1;
      at += opening.length;
    } else if (character === ")") {
      const start = groups.pop();
      if (start === undefined) return undefined;
      out += ")";
      atom = start;
      at++;
    } else if (character === "[") {
      const end = classEnd(source, at);
      const translated = end < 0 ? undefined : translateClass(source.slice(at, end));
      if (translated === undefined) return undefined;
      atom = out.length;
      out += translated;
      at = end;
    } else if (character === "\\") {
      const escape = translateEscape(source, at);
      if (escape === undefined) return undefined;
      atom = out.length;
      out += escape.text;
      at = escape.end;
    } else if (character === "|") {
      out += "|";
      atom = -1;
      at++;
    } else if ("^${}]".includes(character)) {
      return undefined; // anchors mean lines in Oniguruma; stray brackets are not worth the care
    } else {
      atom = out.length;
      out += character === "." ? "[^\\n]" : character === "/" ? "\\/" : character;
      at += character.length;
    }
  }
  return groups.length === 0 ? out : undefined;
}

function bothCases(letter: string): string {
  const lower = letter.toLowerCase();
  return `[${lower}${letter.toUpperCase()}${foldedExtras[lower] ?? ""}]`;
}

/** One escape at `at`: shared by classes and the open pattern. */
function translateEscape(source: string, at: number): { text: string; end: number } | undefined {
  const next = source[at + 1] as string | undefined;
  if (next === undefined) return undefined;
  const property = /^\\[pP]\{\^?[A-Za-z_=]+\}/.exec(source.slice(at, at + 64))?.[0];
  if (property !== undefined) return property.includes("^") ? undefined : { text: property, end: at + property.length };
  const code = /^\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2})/.exec(source.slice(at, at + 6))?.[0];
  if (code !== undefined) return { text: code, end: at + code.length };
  if (next in properties) return { text: properties[next], end: at + 2 };
  if ("rntfv".includes(next)) return { text: `\\${next}`, end: at + 2 };
  if (/[A-Za-z0-9]/.test(next) || next > "~") return undefined;
  return { text: /[\\^$.*+?()[\]{}|/-]/.test(next) ? `\\u{${next.charCodeAt(0).toString(16)}}` : next, end: at + 2 };
}

/** One past the `]` that closes the class at `start`, or -1. */
function classEnd(source: string, start: number): number {
  for (let at = start + 1; at < source.length; at++) {
    if (source[at] === "\\") at++;
    else if (source[at] === "]") return at + 1;
  }
  return -1;
}

function translateClass(source: string): string | undefined {
  const negated = source[1] === "^";
  let out = negated ? "[^" : "[";
  let at = negated ? 2 : 1;
  if (at === source.length - 1) return undefined; // `[]...]` and empty classes
  while (at < source.length - 1) {
    if (source[at] === "[" || source.startsWith("&&", at)) return undefined; // sets of sets
    if (source[at] === "\\") {
      const escape = translateEscape(source, at);
      if (escape === undefined) return undefined;
      out += escape.text;
      at = escape.end;
    } else {
      out += /[()|{}/]/.test(source[at]) ? `\\${source[at]}` : source[at];
      at++;
    }
  }
  return `${out}]`;
}
