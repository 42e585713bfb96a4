import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [svelte({ configFile: "studio/svelte.config.js" })], // the studio's state and messages use runes
  oxc: { target: "node20" }, // `using` is lowered: Node 20 does not know it
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts", "studio/**/*.test.ts"],
    setupFiles: ["test/seed.setup.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
