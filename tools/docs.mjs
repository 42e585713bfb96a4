/** `npm run docs`: the API reference, from the docstrings, into docs/api/. */
import { root, run, setUp } from "./setup.mjs";

setUp();
run(
  process.execPath,
  ["node_modules/typedoc/bin/typedoc", "--entryPoints", "src/index.ts", "--out", "docs/api", "--treatWarningsAsErrors", "--readme", "none"],
  "",
  { cwd: root, stdio: "inherit" },
);
