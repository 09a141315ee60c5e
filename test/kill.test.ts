import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";

it("ends a run that was killed with SIGKILL at random moments with the weights of the unbroken run, bit for bit", () => {
  const said = execFileSync("node", ["scripts/kill-study.mjs", "--kills", "4", "--seed", "7"], { encoding: "utf8" });
  expect(said).toMatch(/\d+ kills: every run resumed and ended with the unbroken run's weights, bit for bit\n$/);
});
