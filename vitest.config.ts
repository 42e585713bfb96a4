import { defineConfig } from "vitest/config";

export default defineConfig({
  oxc: { target: "node20" }, // `using` is lowered: Node 20 does not know it
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    setupFiles: ["test/seed.setup.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
