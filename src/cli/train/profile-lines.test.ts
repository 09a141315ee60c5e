import { describe, expect, it } from "vitest";
import type { ProfileReport } from "../../profile/index.ts";
import { profileLines } from "./profile-lines.ts";

const operator = (name: string, selfMilliseconds: number) => ({
  ...{ name, selfMilliseconds, totalMilliseconds: 2 * selfMilliseconds },
  ...{ share: selfMilliseconds / 100, callsPerStep: 1.5, shapes: [] },
});

const REPORT: ProfileReport = {
  steps: 2,
  skipped: 5,
  millisecondsPerStep: 100,
  phases: [{ name: "forward", milliseconds: 40, share: 0.4 }],
  operators: [operator("aten::mm", 30), ...Array.from({ length: 21 }, (_, i) => operator(`aten::op${i}`, 1))],
  modules: [
    {
      ...{ path: "fc", type: "Linear", share: 0.3, callsPerStep: 1 },
      ...{ forwardSelfMilliseconds: 10, forwardMilliseconds: 12 },
      ...{ backwardSelfMilliseconds: 20, backwardMilliseconds: 25 },
    },
  ],
  outsideOperators: 49,
  droppedEvents: 0,
};

const textOf = (report: ProfileReport) =>
  profileLines({ type: "profile", report, path: "runs/a/profile.json", tracePath: "runs/a/profile-trace.json" }).join(
    "\n",
  );

describe("profileLines", () => {
  it("shows the first twenty operators, the sum of the others, and the time outside of operators", () => {
    const text = textOf(REPORT);
    expect(text).toMatch(/^aten::mm +30\.00 +60\.00 +30\.0% +1\.5$/m);
    expect(text).toMatch(/^aten::op18 /m);
    expect(text).not.toMatch(/^aten::op19 /m);
    expect(text).toMatch(/^2 others +2\.00 +2\.0% +3$/m);
    expect(text).toMatch(/^\(in no operator\) +49\.00 +49\.0%$/m);
    expect(text).toMatch(/^fc Linear +10\.00 +12\.00 +20\.00 +25\.00 +30\.0% +1$/m);
    expect(text).toContain("runs/a/profile-trace.json");
  });

  it("warns if events are missing, and only then", () => {
    expect(textOf(REPORT)).not.toContain("did not fit");
    expect(textOf({ ...REPORT, droppedEvents: 7 })).toMatch(
      /^7 events did not fit into the buffer, .* fewer --profile-steps$/m,
    );
  });
});
