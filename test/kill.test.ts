import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";

it("ends a run that was killed with SIGKILL at random moments with the weights of an uninterrupted run, bit for bit", () => {
  const args = ["scripts/kill-study.mjs", "--kills", "4", "--seed", "7"];
  const { status, signal, stdout, stderr } = spawnSync("node", args, { encoding: "utf8" });
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: "" });
  expect(stdout).toMatch(
    /\d+ kills: every run resumed and ended with the weights of the uninterrupted run, bit for bit\n$/,
  );
}, 600_000);
