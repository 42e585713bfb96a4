/** `npm run dev`: rebuilds when a source changes and runs the tests that depend on it, until Ctrl-C. */
import { spawn } from "node:child_process";
import { root, setUp } from "./setup.mjs";

setUp();
const stdio = "inherit";
spawn(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json", "--noCheck", "--watch", "--preserveWatchOutput"], {
  cwd: root,
  stdio,
});
spawn(process.execPath, ["node_modules/rolldown/bin/cli.mjs", "--config", "tools/rolldown.config.mjs", "--watch"], { cwd: root, stdio });
spawn(process.execPath, ["node_modules/vitest/vitest.mjs", "watch"], { cwd: root, stdio });
