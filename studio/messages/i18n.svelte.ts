/**
 * English and Simplified Chinese. Every folder with words has a messages.ts: one object for each language with the same keys,
 * which the types enforce and messages.test.ts checks for blanks and for {placeholders}.
 */
export type Locale = "en" | "zh";

class Language {
  current: Locale = $state(initial());

  set(locale: Locale): void {
    this.current = locale;
    document.documentElement.lang = locale === "zh" ? "zh-CN" : "en";
    try {
      localStorage.setItem("vitrine.locale", locale);
    } catch {
      // storage may be refused; the choice then lasts as long as the page
    }
  }
}

function initial(): Locale {
  let saved: string | null = null;
  try {
    saved = localStorage.getItem("vitrine.locale");
  } catch {
    // as above
  }
  const asked = saved ?? globalThis.navigator?.language ?? "en";
  return asked.startsWith("zh") ? "zh" : "en";
}

export const language = new Language();

export type Words<Keys extends string> = { readonly [Key in Keys]: string };
export type Messages<Keys extends string> = { readonly en: Words<Keys>; readonly zh: Words<Keys> };

/** A function that gives a message in the current language, with {placeholders} filled in. */
export function translator<const Keys extends string>(
  messages: Messages<Keys>,
): (key: Keys, values?: Readonly<Record<string, string | number>>) => string {
  return (key, values = {}) => messages[language.current][key].replaceAll(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
