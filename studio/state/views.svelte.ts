/**
 * What a panel shows for itself, as a few short named parameters, so that the address can hold it. Panels describe themselves as they are
 * loaded; the shell writes what they tell and gives it back, and knows none of them.
 */
import { Asked, put } from "./asked.ts";
import type { Told } from "./asked.ts";
import type { PanelId } from "./studio.svelte.ts";

export interface PanelView {
  /** Everything that an address should bring back. What is as it was when the panel was loaded is not written. */
  tell(): Readonly<Record<string, Told>>;
  /** Called once, when the model has read the text. Names that were not told before are undefined. */
  take(asked: Asked): void;
  /** Where the next layer stands on its screen, which is the way the arrow keys go; above where it does not say. */
  readonly nextLayer?: "above" | "below";
}

export type Parameters = readonly (readonly [name: string, value: string])[];

interface Described {
  readonly view: PanelView;
  readonly plain: Parameters;
}

export class Views {
  #described: ReadonlyMap<PanelId, Described> = $state.raw(new Map());
  /** From the address, until its panel is loaded and the text is read. */
  #waiting: { readonly panel: PanelId; readonly parameters: Parameters } | undefined = $state.raw(undefined);
  #read = false;

  /** For a panel's module: at its end, once. */
  describe(panel: PanelId, view: PanelView): void {
    this.#described = new Map([...this.#described, [panel, { view, plain: parametersOf(view) }]]);
    this.#give();
  }

  /** What an address says of a panel. It is given when both the panel and the text are there. */
  expect(panel: PanelId, parameters: Parameters): void {
    if (parameters.length > 0) this.#waiting = { panel, parameters };
  }

  /** The model has read the text. */
  textIsRead(): void {
    this.#read = true;
    this.#give();
  }

  /** The panel is there; one that did not describe itself has nothing to be given. */
  loaded(panel: PanelId): void {
    if (this.#waiting?.panel === panel && !this.#described.has(panel)) this.#waiting = undefined;
  }

  /** For the address: what the panel shows that is not as it began. */
  told(panel: PanelId): Parameters {
    if (this.#waiting?.panel === panel) return this.#waiting.parameters;
    const described = this.#described.get(panel);
    if (!described) return [];
    const plain = new Map(described.plain);
    return parametersOf(described.view).filter(([name, value]) => plain.get(name) !== value);
  }

  nextLayer(panel: PanelId): "above" | "below" {
    return this.#described.get(panel)?.view.nextLayer ?? "above";
  }

  #give(): void {
    const waiting = this.#waiting;
    const described = waiting && this.#described.get(waiting.panel);
    if (!waiting || !described || !this.#read) return;
    this.#waiting = undefined;
    described.view.take(new Asked(waiting.parameters));
  }
}

function parametersOf(view: PanelView): Parameters {
  return Object.entries(view.tell()).flatMap(([name, value]) => (value === undefined ? [] : [[name, put(value)] as const]));
}

export const views = new Views();
