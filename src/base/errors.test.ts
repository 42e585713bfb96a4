import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FormatError, internal, nearest, quoted, ShapeError, VitrineError } from "./errors.ts";

describe("errors", () => {
  it("say whose fault it is, the request's unless told otherwise", () => {
    expect(new VitrineError("x").blame).toBe("request");
    expect(new FormatError("x", { blame: "work" }).blame).toBe("work");
  });

  it("know their kind and their cause", () => {
    const cause = new Error("deep");
    const error = new FormatError("x", { cause });
    expect(error).toBeInstanceOf(VitrineError);
    expect(error.cause).toBe(cause);
    expect([error.name, new ShapeError("x").name, new VitrineError("x").name]).toEqual(["FormatError", "ShapeError", "VitrineError"]);
    expect(Object.hasOwn(new VitrineError("x"), "cause")).toBe(false);
  });

  it("of our own are no VitrineErrors and begin with internal:", () => {
    expect(internal("oops")).not.toBeInstanceOf(VitrineError);
    expect(internal("oops").message).toBe("internal: oops");
  });
});

describe("nearest", () => {
  const flags = [
    "temperature",
    "top-k",
    "top-p",
    "min-p",
    "seed",
    "model",
    "max-tokens",
    "gpt2",
    "gpt2-medium",
    "wasm",
    "reference",
    "F32",
    "F16",
    "BF16",
  ];

  it.each([
    ["temprature", "temperature"],
    ["temp", "temperature"], // its beginning
    ["TEMPERATURE", "temperature"],
    ["modle", "model"], // two letters swapped are one slip
    ["wams", "wasm"],
    ["gtp2", "gpt2"],
    ["gpt2", "gpt2"], // itself before what begins with it
    ["max_tokens", "max-tokens"],
    ["sede", "seed"],
    ["f32", "F32"],
    ["BF15", "BF16"],
  ])("%s -> %s", (word, meant) => {
    expect(nearest(word, flags)).toBe(meant);
  });

  it.each(["", "x", "zz", "colour", "llama", "completely-different"])("has nothing near %j", (word) => {
    expect(nearest(word, flags)).toBeUndefined();
  });

  it("always finds a word that is there, and one that is a single slip away", () => {
    const word = fc.stringMatching(/^[a-z]{4,12}$/);
    fc.assert(
      fc.property(word, fc.nat(), (meant, at) => {
        const slip = at % meant.length;
        expect(nearest(meant, ["0123456789", meant])).toBe(meant);
        expect(nearest(meant.slice(0, slip) + meant.slice(slip + 1), ["0123456789", meant])).toBe(meant); // a letter missing
        expect(nearest(`${meant.slice(0, slip)}#${meant.slice(slip)}`, ["0123456789", meant])).toBe(meant); // one too many
        expect(nearest(`${meant.slice(0, slip)}#${meant.slice(slip + 1)}`, ["0123456789", meant])).toBe(meant); // one wrong
      }),
    );
  });

  it("does not take long over an absurd word", () => {
    const started = performance.now();
    expect(nearest("x".repeat(1_000_000), flags)).toBeUndefined();
    expect(performance.now() - started).toBeLessThan(200);
  });
});

describe("quoted", () => {
  it("keeps text from outside on one short line", () => {
    expect(quoted("wte.weight")).toBe('"wte.weight"');
    expect(quoted('a"\n\u0000b')).toBe('"a\\"\\n\\u0000b"');
    expect(quoted("x".repeat(1000)).length).toBeLessThan(90);
  });
});
