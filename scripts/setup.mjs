#!/usr/bin/env node
// Set-up of a checkout or an installation: npm packages, libtorch, the addon, the TypeScript build. Nothing is imported before the check
// below, so that an old Node gets a sentence and not a syntax error.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 9)) {
  process.stderr.write(
    `setup: Node ${process.versions.node} is too old: batch-cam needs Node 20.9 or newer\n` +
      "  remedy: install a current Node (`nvm install 22`, or your system's package) and run set-up again\n",
  );
  process.exit(1);
}
import("./setup/main.mjs").then(async ({ main }) => {
  process.exitCode = await main();
});
