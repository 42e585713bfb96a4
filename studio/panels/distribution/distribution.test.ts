/** The numbers of the panel, against the library, the lecture and each other. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { distributionOf, randomFrom, retemper, sampler } from "../../engine/engine-client.ts";
import { textBefore } from "../../state/text-before.ts";
import type { TreeNode } from "../../state/tree.ts";
import { generateCommand } from "./command.ts";
import { curveOf, curvePoint, shareAt } from "./curve.ts";
import { lectureAfter, lectureLogits, lectureMoves, lectureWords } from "./lecture.ts";
import { exactShare, logitDomain, topKChoice, topKChoices } from "./scale.ts";
import { findTokens } from "./search.ts";
import { softmaxSteps } from "./softmax-steps.ts";
import { ownOf, rowIds, spread } from "./spread.ts";

const plain = { temperature: 1, topK: 0, topP: 1, minP: 0 };

function someLogits(V: number, seed = 3): Float32Array {
  const random = randomFrom(seed);
  return Float32Array.from({ length: V }, () => 24 * random.next() - 12);
}

describe("the lecture's example", () => {
  const shares = (logits: readonly number[], temperature = 1): number[] => {
    const own = ownOf(Float32Array.from(logits));
    return spread(own, { ...plain, temperature }, [...logits.keys()]).rows.map(({ tempered }) => tempered);
  };

  test("gives the lecture's seven probabilities", () => {
    expect(lectureWords).toHaveLength(7);
    expect(shares(lectureLogits).map((p) => p.toFixed(4))).toEqual(["0.0092", "0.0001", "0.0338", "0.0918", "0.6136", "0.0021", "0.2495"]);
  });

  test("follows its moves and its temperatures: Snape's share after each", () => {
    const snape = lectureWords.indexOf("Snape");
    const after = lectureMoves.map((_, i) => lectureAfter(i + 1)).map(({ logits, temperature }) => shares(logits, temperature)[snape].toFixed(4));
    expect(after).toEqual(
      [".3284", ".5211", ".3686", ".1142", ".9747", ".4929", ".2675", ".7907", "1.0000", ".4171", ".9747", ".3301"].map((text) =>
        text.replace(/^\./, "0."),
      ),
    );
  });
});

describe("spread", () => {
  const knobs = fc.record({
    temperature: fc.oneof(fc.constant(0), fc.constant(1), fc.double({ min: 0.05, max: 10, noNaN: true })),
    topK: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 300 })),
    topP: fc.oneof(fc.constant(1), fc.double({ min: 0.05, max: 1, noNaN: true })),
    minP: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true })),
  });

  test("is what the library's sampler draws from, row by row, with nothing lost", () => {
    fc.assert(
      fc.property(knobs, fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 50 }), fc.boolean(), (options, V, seed, holes) => {
        const logits = someLogits(V, seed);
        const banned = holes && V > 2 ? [0, V - 1] : [];
        const own = ownOf(logits, banned);
        const ids = rowIds(own, 20, [0, V >> 1]);
        const { rows, rest, kept, keptMass, topShare } = spread(own, options, ids);
        const drawn = sampler(options, banned).filter(distributionOf(logits), [], []);
        const kepts = Array.from(logits.keys()).filter((id) => drawn.probability(id) > 0);
        for (const row of rows) {
          expect(Math.abs(row.drawn - drawn.probability(row.id))).toBeLessThan(1e-14);
          expect(row.probability).toBe(distributionOf(logits).probability(row.id));
          if (row.drawn > 0) expect(row.cut).toBeUndefined();
          if (row.cut !== undefined) expect(row.drawn).toBe(0);
        }
        expect(rows.reduce((sum, row) => sum + row.tempered, rest.tempered)).toBeCloseTo(1, 9);
        expect(rows.reduce((sum, row) => sum + row.drawn, rest.drawn)).toBeCloseTo(1, 9);
        expect(rest.count).toBe(V - ids.length);
        expect(kept).toBeGreaterThanOrEqual(kepts.length); // some that may be drawn have a share too small for fp64
        const inRows = rows.filter(({ cut }) => cut === undefined);
        expect(rest.kept).toBe(kept - inRows.length);
        if (banned.length === 0) {
          const mass = kepts.reduce(
            (sum, id) => sum + sampler({ temperature: options.temperature }).filter(own.distribution, [], []).probability(id),
            0,
          );
          expect(keptMass).toBeCloseTo(mass, 6);
          expect(topShare).toBe(Math.max(...rows.map(({ tempered }) => tempered)));
        }
      }),
      { numRuns: 300 },
    );
  });

  test("names the rule that took a token out", () => {
    const own = ownOf(Float32Array.from([5, 4, 3, 2, 1, 0]), [5]);
    const cuts = (options: Partial<typeof plain>): (string | undefined)[] =>
      spread(own, { ...plain, ...options }, [0, 1, 2, 3, 4, 5]).rows.map(({ cut }) => cut);
    expect(cuts({})).toEqual([undefined, undefined, undefined, undefined, undefined, "noToken"]);
    expect(cuts({ temperature: 0 })).toEqual([undefined, "temperature", "temperature", "temperature", "temperature", "noToken"]);
    expect(cuts({ topK: 4, topP: 0.85 })).toEqual([undefined, undefined, "topP", "topP", "topK", "noToken"]);
    expect(cuts({ topK: 4, minP: 0.1 })).toEqual([undefined, undefined, undefined, "minP", "topK", "noToken"]);
    expect(cuts({ topP: 0.85, minP: 0.1 })).toEqual([undefined, undefined, "topP", "minP", "minP", "noToken"]);
  });

  test("after T equals p^(1/T) over the same tokens, as what an API shows would give", () => {
    const own = ownOf(someLogits(500));
    const ids = rowIds(own, 20, []);
    const { rows } = spread(own, { ...plain, temperature: 5 }, ids);
    const mass = rows.reduce((sum, { tempered }) => sum + tempered, 0);
    const twenty = retemper(own.distribution.top(20), 5);
    for (const [i, { tempered }] of rows.entries()) expect(tempered / mass).toBeCloseTo(twenty[i].probability, 6);
  });

  test("T = 0 is the best one, the lower id of equals", () => {
    const { rows } = spread(ownOf(Float32Array.from([1, 2, 2])), { ...plain, temperature: 0 }, [0, 1, 2]);
    expect(rows.map(({ tempered, drawn }) => [tempered, drawn])).toEqual([[0, 0], [1, 1], [0, 0]]); // prettier-ignore
  });
});

describe("softmax in steps", () => {
  test("ends where the library's softmax does", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.double({ min: 0.05, max: 10, noNaN: true }), (V, temperature) => {
        const logits = someLogits(V, V);
        const whole = distributionOf(logits, temperature);
        const ids = whole.top(5).map(({ id }) => id);
        const { rows, sum, others } = softmaxSteps(logits, temperature, ids);
        for (const row of rows) {
          expect(row.probability).toBeCloseTo(whole.probability(row.id), 12);
          expect(row.weight / sum).toBe(row.probability);
        }
        expect(rows[0].shifted).toBe(0);
        expect(others.count).toBe(V - ids.length);
        expect(rows.reduce((total, row) => total + row.probability, others.probability)).toBeCloseTo(1, 12);
      }),
    );
  });
});

describe("the curve", () => {
  test("goes from certain to nearly even, and knows every other token's share", async () => {
    const logits = someLogits(64);
    const own = ownOf(logits);
    const points = (await curveOf(own, new AbortController().signal))!;
    expect([points[0].temperature, points[0].topShare, points[0].entropy]).toEqual([0, 1, 0]);
    expect(points.at(-1)!.temperature).toBe(10);
    for (let i = 1; i < points.length; i++) expect(points[i].entropy).toBeGreaterThanOrEqual(points[i - 1].entropy - 1e-12);
    const point = curvePoint(own, 2.5);
    expect(shareAt(point, logits[7] - logits[own.best])).toBeCloseTo(distributionOf(logits, 2.5).probability(7), 12);
  });
});

describe("search", () => {
  const texts = ["the", " the", " The", "then", "other", "x", " ", "\n"];
  const logits = Float32Array.from([0, 5, 1, 9, 7, 2, 3, 4]);

  test("puts the same text first, then the same word, then beginnings, then the rest", () => {
    expect(findTokens(texts, logits, "the", 9)).toEqual({ ids: [0, 1, 2, 3, 4], count: 5 });
    expect(findTokens(texts, logits, "␣the", 9).ids[0]).toBe(1);
    expect(findTokens(texts, logits, "the", 2)).toEqual({ ids: [0, 1], count: 5 });
  });

  test("takes spaces, line breaks and ids", () => {
    expect(findTokens(texts, logits, "⏎", 9).ids).toEqual([7]);
    expect(findTokens(texts, logits, "#3", 9).ids).toEqual([3]);
    expect(findTokens(texts, logits, "#8", 9).count).toBe(0);
    expect(findTokens(texts, logits, "", 9).count).toBe(0);
  });
});

describe("numbers on the way to the screen", () => {
  test("shares never read as nothing", () => {
    expect(exactShare(3.21e-9)).toBe("3.2 × 10⁻⁷ %");
    expect(exactShare(0)).toBe("0 %");
    expect(exactShare(0.6136)).toBe("61.4 %");
  });

  test("logits are drawn from 0 only where 0 is near", () => {
    expect(logitDomain([17, 12, 9])).toEqual({ low: 0, high: 17, zero: true });
    expect(logitDomain([-33, -34, -35])).toMatchObject({ high: -33, zero: false });
    expect(logitDomain([-5, 3])).toEqual({ low: -5, high: 3, zero: true });
    expect(logitDomain([2]).high).toBeGreaterThan(logitDomain([2]).low);
  });

  test("the top-k slider can stand on every k it offers, and at all", () => {
    const choices = topKChoices(50_257);
    expect(new Set(choices).size).toBe(choices.length);
    for (const [i, k] of choices.entries()) expect(topKChoice(choices, k)).toBe(i);
    expect(topKChoice(choices, 41)).toBe(choices.indexOf(40));
    expect(topKChoices(1)).toEqual([0]);
  });
});

describe("the command line", () => {
  const node = (bytes: readonly number[], position: number): TreeNode => ({ position, token: { id: 0, text: "", bytes: Uint8Array.from(bytes), special: position === 0 } }) as unknown as TreeNode; // prettier-ignore
  const utf8 = (text: string): number[] => [...new TextEncoder().encode(text)];

  test("has the text before the place: split characters are whole again, a start token is left out", () => {
    const [a, b] = [utf8("東").slice(0, 1), utf8("東").slice(1)];
    const path = [[], utf8(" Once"), utf8(" upon"), a, b].map(node);
    expect(textBefore(path, 5, "Once upon", path[2])).toBe("Once upon東");
    expect(textBefore(path, 3, "Once upon", path[2])).toBe("Once upon");
    expect(textBefore(path, 2, "Once upon", path[2])).toBe("Once");
  });

  test("has the text of a branch that left the prompt early, and not the prompt's end", () => {
    const prompt = [[], utf8(" Once"), utf8(" upon")].map(node);
    const path = [...prompt.slice(0, 2), node(utf8(" more"), 2), node(utf8(" time"), 3)];
    expect(textBefore(path, 4, "Once upon", prompt[2])).toBe("Once more time");
    expect(textBefore(path, 2, "Once upon", prompt[2])).toBe("Once");
  });

  test("says only what is not at its default", () => {
    const asked = { text: "it's", ids: undefined, model: "storyteller", context: undefined };
    expect(generateCommand(asked, { ...plain, temperature: 2, topK: 10 }, 20)).toBe(
      `vitrine generate 'it'\\''s' --model 'storyteller' --json --show 20 --max-tokens 1 --temperature 2 --top-k 10`,
    );
  });
});
