import { expect, test } from "vitest";
import { ladderCode, lensCode, pushCode, whatIfCode } from "./commands.ts";

const place = { model: "storyteller", text: "it's a cat", position: 3 };

test("commands quote the text for a shell and the library for TypeScript", () => {
  const { command, library } = lensCode(place, 4, 0);
  expect(command).toBe(`vitrine inspect 'it'\\''s a cat' --model 'storyteller' --lens --top 5 --position 3 --json`);
  expect(library).toContain(`encode("it's a cat")`);
  expect(library).toContain("blocks.1.hook_resid_post");
  expect(ladderCode(place, 12, 1).library).toContain("targets: [12]");
});

test("pushes are absolute or relative, as shown", () => {
  expect(pushCode(place, 262, true).command).toContain("--contributions id:262 --position 3");
  expect(pushCode(place, 262, false).command).toContain("--contributions id:262 --absolute");
});

test("a what-if is muted on the command line, scaled only in the library", () => {
  const muted = whatIfCode(place, place, [{ layer: 0, head: 3, scale: 0 }, { layer: 2, head: -1, scale: 0 }]); // prettier-ignore
  expect(muted.command).toContain("--mute 0.3,mlp2");
  expect(muted.library).not.toContain("other");
  const scaled = whatIfCode(place, { ...place, text: "it's a dog" }, [{ layer: 0, head: 3, scale: 1.5 }]);
  expect(scaled.command).toMatch(/^node .*scale: 1.5.*console\.log\(divergence/);
  expect(scaled.library).toContain("read(other)");
});
