/** The command as one file plus lazily loaded parts, so that it starts fast and installs nothing. */
import { defineConfig } from "rolldown";

export default defineConfig({
  input: { vitrine: "src/cli/main.ts" },
  platform: "node",
  external: [/^node:/],
  transform: { target: "node20" }, // `using` is lowered: Node 20 does not know it
  output: { dir: "dist/cli", format: "esm", entryFileNames: "[name].js", chunkFileNames: "[name]-[hash].js", cleanDir: true, sourcemap: false },
  logLevel: "warn",
});
