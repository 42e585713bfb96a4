/** What this panel shows for itself. It outlives the panel, and the address holds it. */
import { views } from "../../state/views.svelte.ts";

type Branches = "tree" | "blocks";

class WriteView {
  branches: Branches = $state("tree");
}

export const view = new WriteView();

views.describe("write", {
  tell: () => ({ branches: view.branches }),
  take: (asked) => {
    view.branches = asked.one("branches", ["tree", "blocks"]) ?? view.branches;
  },
});
