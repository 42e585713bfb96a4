/** The studio as a static site that any file host serves: relative addresses, one worker, kernels and models copied beside it by tools/build-studio.mjs. */
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const isolated = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** How long plugins took is no news to who only wants to see the studio. */
const quiet = { checks: { bundlerTimings: false } };

export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  publicDir: false,
  plugins: [svelte()],
  worker: { format: "es", rolldownOptions: quiet },
  build: {
    outDir: "../dist/studio",
    emptyOutDir: false,
    target: "es2022",
    cssCodeSplit: false,
    chunkSizeWarningLimit: 1500,
    reportCompressedSize: false,
    rolldownOptions: quiet,
  },
  server: { headers: isolated },
  preview: { headers: isolated },
});
