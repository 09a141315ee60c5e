#!/usr/bin/env node
// The package runs on older versions of Node than its tests: vitest 4 uses vite 8 and rolldown, which need ^20.19.0 || >=22.12.0 and end
// with a syntax error on other versions.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (!((major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22)) {
  process.stderr.write(
    `test: Node ${process.versions.node} is too old for the tests: vitest needs Node 20.19 or a newer 20.x, or 22.12 or newer ` +
      "(batch-cam itself runs on 20.9 and newer)\n  remedy: install one (`nvm install 22`) and run `npm test` again\n",
  );
  process.exit(1);
}
