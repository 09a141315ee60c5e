#!/usr/bin/env node
// Sets up a checkout or an installation: npm packages, libtorch, the addon, the TypeScript build. Modules are imported only after the check
// below, so that an old Node prints a message instead of a syntax error.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 9)) {
  process.stderr.write(
    `setup: Node ${process.versions.node} is too old: batch-cam needs Node 20.9 or newer\n` +
      "  remedy: install a current Node (`nvm install 22`, or your system's package) and run the set-up again\n",
  );
  process.exit(1);
}
import("./setup/main.mjs").then(async ({ main }) => {
  process.exitCode = await main();
});
