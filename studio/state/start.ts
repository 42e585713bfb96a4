/**
 * How a visit begins. From a link: its model, its text, its branches. Otherwise the smallest model is writing within a moment,
 * and the best one that came along takes over as soon as it is there, unless the visitor has begun to do something else.
 */
import { embeddedModels, keptModels, openFromShelf } from "../shell/own-models.ts";
import type { ShelfModel } from "../shell/own-models.ts";
import type { Address } from "./address.ts";
import { studio } from "./studio.svelte.ts";
import { views } from "./views.svelte.ts";

/** Letters a second while the smallest model shows what happens; it writes letter by letter. */
const letterSpeed = 12;
const wordSpeed = 4;
/** What is written without being asked. */
const shownTokens = 24;

export function applyAddress(address: Address): void {
  studio.panel = address.panel ?? studio.panel;
  views.expect(studio.panel, address.view);
  studio.prompt = address.prompt ?? studio.prompt;
  studio.temperature = address.temperature ?? studio.temperature;
  studio.topK = address.topK ?? studio.topK;
  studio.topP = address.topP ?? studio.topP;
  studio.minP = address.minP ?? studio.minP;
  studio.seed = address.seed ?? studio.seed;
  studio.contextLimit = address.contextLimit ?? studio.contextLimit;
  studio.depth = address.depth ?? studio.depth;
  studio.layer = address.layer ?? studio.layer;
  studio.head = address.head ?? studio.head;
}

/** What is said about a visit that cannot begin as asked. */
interface Words {
  readonly noModels: string;
  modelGone(name: string): string;
}

export async function begin(address: Address, words: Words): Promise<void> {
  const there = await embeddedModels().catch(() => undefined);
  const shelf = there ?? [];
  if (address.model !== undefined) {
    const named = [...shelf, ...(await keptModels())].find(({ name }) => name === address.model);
    if (named && (await openFromShelf(named))) {
      await studio.readPrompt(address.tree);
      studio.select(address.selected);
      views.textIsRead();
      return;
    }
    if (!named && there) studio.say("note", words.modelGone(address.model));
  }
  const bySize = shelf.toSorted((a, b) => a.bytes - b.bytes);
  if (bySize.length === 0) {
    studio.failure = words.noModels;
    return;
  }
  const best = bySize[bySize.length - 1];
  if (best !== bySize[0]) void prefetch(best);
  const first = await openFromShelf(bySize[0]);
  if (!first) {
    if (best === bySize[0]) return;
    studio.failure = ""; // the best one may read what the smallest cannot
  }
  if (!first || address.prompt !== undefined || best === bySize[0]) {
    if (best !== bySize[0]) await openFromShelf(best);
    views.textIsRead();
    if (address.prompt === undefined) await show(wordSpeed);
    return;
  }
  views.textIsRead();
  await show(letterSpeed, 40);
  if (!untouched()) return;
  if (await openFromShelf(best)) await show(wordSpeed);
}

let touched = false;

/** The visitor did something: nothing starts by itself any more. */
export function touch(): void {
  touched = true;
}

function untouched(): boolean {
  return !touched;
}

/** Writes a little, at a speed one can follow. */
async function show(speed: number, tokens: number = shownTokens): Promise<void> {
  if (touched) return;
  studio.speed = speed;
  const end = studio.path.length + tokens;
  const playing = studio.play();
  const timer = setInterval(() => {
    if (studio.path.length >= end || !studio.playing) {
      clearInterval(timer);
      if (!touched) studio.pause();
    }
  }, 50);
  await playing;
  studio.speed = wordSpeed;
}

/** Into the browser's cache, while the small model writes. */
async function prefetch({ name }: ShelfModel): Promise<void> {
  const folder = new URL(`models/${name}/`, document.baseURI);
  await fetch(new URL("model.safetensors", folder), { priority: "low" })
    .then((answer) => answer.arrayBuffer())
    .catch(() => undefined);
}
