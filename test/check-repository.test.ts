import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { workflowFaults } from "../scripts/check-repository.mjs";

const workflow = readFileSync(".github/workflows/ci.yml", "utf8");

describe("the check of GitHub's workflows", () => {
  it("finds no fault in the project's own", async () => {
    expect(await workflowFaults("ci.yml", workflow)).toEqual([]);
  });

  it.each([
    ["a key that steps do not have", "uses: actions/checkout@v6", "use: actions/checkout@v6", /"use"/],
    [
      "a value that the matrix does not have",
      "matrix.node }}\n          cache",
      "matrix.nod }}\n          cache",
      /"nod"/,
    ],
    ["a permission that does not exist", "contents: read", "contents: readable", /readable/],
  ])("finds %s", async (_, right, wrong, expected) => {
    const broken = workflow.replace(right, wrong);
    expect(broken).not.toBe(workflow);
    expect((await workflowFaults("ci.yml", broken)).join("\n")).toMatch(expected);
  });
});
