/**
 * Named parameters as an address gives them. It is hostile text: every reading gives undefined for what is not just as expected, and whoever
 * asked then stays at the default.
 */
export class Asked {
  readonly #values: ReadonlyMap<string, string>;

  constructor(values: Iterable<readonly [string, string]>) {
    this.#values = new Map(values);
  }

  text(name: string, most = 200): string | undefined {
    const value = this.#values.get(name);
    return value !== undefined && value.length <= most ? value : undefined;
  }

  one<T extends string>(name: string, of: readonly T[]): T | undefined {
    const text = this.text(name);
    return of.find((item) => item === text);
  }

  flag(name: string): boolean | undefined {
    const text = this.text(name);
    return text === "1" ? true : text === "0" ? false : undefined;
  }

  number(name: string, least: number, most: number): number | undefined {
    return numberIn(this.text(name), least, most);
  }

  whole(name: string, least: number, most: number): number | undefined {
    const value = this.number(name, least, most);
    return Number.isInteger(value) ? value : undefined;
  }

  /** As put() joins them: all of them within the limits, or none. */
  numbers(name: string, least: number, most: number, count: number): readonly number[] | undefined {
    const values = this.text(name, 400)
      ?.split(separator)
      .map((text) => numberIn(text, least, most));
    return values !== undefined && values.length <= count && values.every((value) => value !== undefined) ? values : undefined;
  }

  wholes(name: string, least: number, most: number, count: number): readonly number[] | undefined {
    const values = this.numbers(name, least, most, count);
    return values?.every(Number.isInteger) ? values : undefined;
  }
}

export type Told = string | number | boolean | readonly number[] | undefined;

/** Between the numbers of a list: an address keeps it as it is. */
const separator = "_";

/** A value as Asked reads it. */
export function put(value: Exclude<Told, undefined>): string {
  if (typeof value === "boolean") return value ? "1" : "0";
  return typeof value === "object" ? value.join(separator) : String(value);
}

function numberIn(text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined || !/^-?\d+(\.\d+)?(e-?\d+)?$/.test(text)) return undefined;
  const value = Number(text);
  return value >= least && value <= most ? value : undefined;
}
