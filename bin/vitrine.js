#!/usr/bin/env node
/** The `vitrine` command: checks that this Node will do, then hands over to the bundle. Plain JavaScript that any Node can read. */
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`vitrine: this is Node ${process.versions.node}, and Vitrine needs 20.19 or newer; get one from https://nodejs.org`);
  process.exitCode = 2;
} else {
  import("../dist/cli/vitrine.js").then(run, missing);
}

/** Only the exit code is set: output that is still on its way leaves before the process ends. */
async function run({ main }) {
  process.exitCode = await main(process.argv.slice(2), process);
}

function missing(error) {
  const notBuilt = error.code === "ERR_MODULE_NOT_FOUND" && String(error.message).includes("dist/cli/vitrine.js");
  console.error(notBuilt ? "vitrine: it is not built yet; run npm run build (npm start does it for you)" : `vitrine: internal: ${error.stack}`);
  process.exitCode = notBuilt ? 2 : 1;
}
