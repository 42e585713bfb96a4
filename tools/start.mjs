/** `npm start [-- ARGS]`: sets up, then is the `vitrine` command; without arguments it does the main job with the embedded model. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root, setUp } from "./setup.mjs";

const args = process.argv.slice(2);
const opensStudio = args[0] === "studio" && !args.includes("--help") && !args.includes("-h");
setUp(opensStudio ? ["command", "studio"] : ["command"]); // a first word should not wait for a web app
const child = spawn(process.execPath, [join(root, "bin/vitrine.js"), ...args], {
  stdio: "inherit",
  cwd: process.env.INIT_CWD ?? process.cwd(), // paths mean what they meant where the user typed them
  env: { ...process.env, ...(args.length === 0 ? { VITRINE_START: "1" } : {}) },
});
process.on("SIGINT", () => {}); // Ctrl-C reaches the command itself, which ends cleanly: a second signal from here would kill it
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("exit", (code, signal) => {
  process.exitCode = code ?? (signal === "SIGINT" ? 130 : 1);
});
