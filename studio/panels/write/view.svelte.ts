/** What this panel shows for itself. It outlives the panel, and the address holds it. */
import { views } from "../../state/views.svelte.ts";

type Branches = "tree" | "blocks";

/** Deeper than this nobody looks. */
const deepest = 40;

class WriteView {
  branches: Branches = $state("tree");
  /** The ids that the blocks are zoomed into, behind the place `root` names; undefined = behind the place as it is when they are first drawn. */
  zoomed: { readonly root: string | undefined; readonly ids: readonly number[] } = $state.raw({ root: undefined, ids: [] });
}

export const view = new WriteView();

views.describe("write", {
  tell: () => ({ branches: view.branches, zoom: view.zoomed.ids.length > 0 ? view.zoomed.ids : undefined }),
  take: (asked) => {
    view.branches = asked.one("branches", ["tree", "blocks"]) ?? view.branches;
    view.zoomed = { root: undefined, ids: asked.wholes("zoom", 0, 1e6, deepest) ?? [] };
  },
});
