import { describe, expect, test } from "vitest";
import { Views } from "./views.svelte.ts";
import type { PanelView } from "./views.svelte.ts";

/** A panel with one choice and one number. */
function panel(): PanelView & { shape: "round" | "square"; size: number } {
  return {
    shape: "round",
    size: 3,
    tell() {
      return { shape: this.shape, size: this.size };
    },
    take(asked) {
      this.shape = asked.one("shape", ["round", "square"]) ?? this.shape;
      this.size = asked.whole("size", 0, 9) ?? this.size;
    },
  };
}

describe("what panels show for themselves", () => {
  test("is told where it is not as it began", () => {
    const views = new Views();
    const own = panel();
    views.describe("flow", own);
    expect(views.told("flow")).toEqual([]);
    own.size = 5;
    expect(views.told("flow")).toEqual([["size", "5"]]);
    expect(views.told("lens")).toEqual([]);
  });

  test.each(["the panel", "the text"])("is given when both are there, %s last, and kept until then", (last) => {
    const views = new Views();
    const own = panel();
    views.expect("flow", [["shape", "square"], ["size", "77"], ["other", "1"]]); // prettier-ignore
    const come = [(): void => views.textIsRead(), (): void => views.describe("flow", own)];
    if (last === "the text") come.reverse();
    come[0]();
    expect(own.shape).toBe("round");
    expect(views.told("flow")).toEqual([["shape", "square"], ["size", "77"], ["other", "1"]]); // prettier-ignore
    come[1]();
    expect(own).toMatchObject({ shape: "square", size: 3 });
    expect(views.told("flow")).toEqual([["shape", "square"]]);
  });

  test("is dropped where the panel has nothing of the kind", () => {
    const views = new Views();
    views.expect("context", [["a", "1"]]);
    expect(views.told("context")).toEqual([["a", "1"]]);
    views.loaded("flow");
    expect(views.told("context")).toEqual([["a", "1"]]);
    views.loaded("context");
    expect(views.told("context")).toEqual([]);
  });

  test("is not given to another panel, nor twice", () => {
    const views = new Views();
    const [flow, lens] = [panel(), panel()];
    views.describe("lens", lens);
    views.expect("flow", [["size", "5"]]);
    views.textIsRead();
    views.describe("flow", flow);
    expect([flow.size, lens.size]).toEqual([5, 3]);
    flow.size = 1;
    views.textIsRead();
    expect(flow.size).toBe(1);
  });
});
