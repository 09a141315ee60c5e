import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    setupFiles: ["test/support/matchers.ts"],
    // Worker processes rather than threads: each test file gets an engine of its own, as a user's program does.
    pool: "forks",
    maxWorkers: 2,
    // A hang, not a busy machine.
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
