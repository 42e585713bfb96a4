/**
 * The floor plan of ARCHITECTURE.md, executable: rooms import downwards only, rooms on one floor do not know each other,
 * and nothing under the doors and the host touches Node or a page.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const floors: Readonly<Record<string, number>> = {
  base: 0,
  tokenizer: 1,
  formats: 1,
  device: 1,
  projection: 1,
  tensor: 2,
  model: 3,
  training: 4,
  generation: 4,
  inspection: 4,
  embeddings: 4,
  engine: 5,
  host: 5,
  server: 6,
  cli: 7, // `vitrine studio` opens the server
};
const entries = ["index.ts", "index.browser.ts", "exports.ts"]; // the package's doors and the list they share: they may join any rooms

const source = fileURLToPath(new URL("../src", import.meta.url));
const files = readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !/\.test(ing)?\.ts$/.test(file))
  .map((file) => file.replaceAll("\\", "/"));

const importPattern = /(?:^|\n)\s*(?:import|export)\s(?:[^;]*?from\s*)?["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)/g;

function importsOf(file: string): string[] {
  return importsIn(readFileSync(join(source, file), "utf8"));
}

function importsIn(code: string): string[] {
  return [...code.matchAll(importPattern)].map((match) => match[1] ?? match[2]);
}

function roomOf(file: string): string {
  return file.includes("/") ? file.slice(0, file.indexOf("/")) : file;
}

/** Why this import breaks the plan; undefined when it is allowed. */
function broken(file: string, specifier: string): string | undefined {
  const room = roomOf(file);
  if (entries.includes(room)) return undefined;
  if (!specifier.startsWith(".")) {
    const underDoors = floors[room] < 5 || room === "engine";
    return underDoors && specifier.startsWith("node:") ? `${file} uses ${specifier} under the host floor` : undefined;
  }
  const target = relative(source, join(source, dirname(file), specifier)).replaceAll("\\", "/");
  const targetRoom = roomOf(target);
  if (targetRoom === room) return undefined;
  if (entries.includes(targetRoom)) return `${file} imports the package's own door ${target}`;
  return floors[targetRoom] < floors[room] ? undefined : `${file} (floor ${floors[room]}) imports ${target} (floor ${floors[targetRoom]})`;
}

describe("the floor plan", () => {
  it("knows every room", () => {
    const rooms = new Set(files.map(roomOf).filter((room) => !entries.includes(room)));
    expect([...rooms].filter((room) => floors[room] === undefined)).toEqual([]);
    expect(files.length).toBeGreaterThan(20);
  });

  it("is kept by every import", () => {
    expect(files.flatMap((file) => importsOf(file).map((specifier) => broken(file, specifier))).filter(Boolean)).toEqual([]);
  });

  it("sees every way to import", () => {
    const code = `import "./a.ts";\nimport { x } from "./b.ts";\nexport { y } from "./c.ts";\nimport {\n  z,\n} from './d.ts';\nawait import("./e.ts");`;
    expect(importsIn(code)).toEqual(["./a.ts", "./b.ts", "./c.ts", "./d.ts", "./e.ts"]);
  });

  it("would notice an upward import, a neighbour and a Node module", () => {
    expect(broken("tokenizer/bpe.ts", "../model/gpt2.ts")).toMatch(/floor 1.*floor 3/);
    expect(broken("tokenizer/bpe.ts", "../formats/safetensors.ts")).toBeDefined();
    expect(broken("model/gpt2.ts", "node:fs")).toBeDefined();
    expect(broken("model/gpt2.ts", "../tensor/tensor.ts")).toBeUndefined();
  });

  it("keeps device/ from hearing of tensors", () => {
    const device = files.filter((file) => roomOf(file) === "device");
    expect(device.flatMap(importsOf).filter((specifier) => specifier.includes("tensor/"))).toEqual([]);
  });
});
