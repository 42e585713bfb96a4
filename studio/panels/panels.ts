/** The panels, each loaded when it is first opened. A panel is a component without props: what it shows is the studio's state. */
import type { Component } from "svelte";
import type { PanelId } from "../state/studio.svelte.ts";

export const panels: Readonly<Record<PanelId, () => Promise<{ readonly default: Component }>>> = {
  write: () => import("./write/Write.svelte"),
  distribution: () => import("./distribution/Distribution.svelte"),
  tokens: () => import("./tokens/Tokens.svelte"),
  flow: () => import("./flow/Flow.svelte"),
  lens: () => import("./lens/Lens.svelte"),
  matrices: () => import("./matrices/Matrices.svelte"),
  context: () => import("./context/Context.svelte"),
};
