import { describe, expect, it } from "vitest";
import { type CounterOptions, createCounter } from "./progress.ts";

/** A counter with a clock that the test sets, and the text that it wrote. */
function counting(total: number, options: CounterOptions & { columns?: number; isTTY?: boolean } = {}) {
  const { columns, isTTY = true, ...rest } = options;
  let time = 0;
  const written: string[] = [];
  const stream = { isTTY, columns, write: (text: string) => written.push(text) };
  const counter = createCounter(stream as never, "judged", total, { ...rest, now: () => time });
  const step = (at: number, count?: number) => {
    time = at;
    counter.step(count);
    return (written.at(-1) ?? "").replace("\r\u001b[2K", "");
  };
  return { step, written, counter };
}

describe("a counter", () => {
  it("shows no remaining time until a rate is measured, which does not include the first batch", () => {
    const { step } = counting(1000, { burst: 250 });
    expect(step(60_000, 250)).toMatch(/\] 250 of 1000$/); // the time left is missing, because the rate includes the time before the first batch
    expect(step(70_000, 250)).toMatch(/\] 500 of 1000 {2}25\.0\/s {2}20 s left$/);
    expect(step(80_000, 250)).toMatch(/\] 750 of 1000 {2}25\.0\/s {2}10 s left$/);
  });

  it("shows no remaining time in the middle of the first batches, whose images finish together", () => {
    const { step } = counting(32, { burst: 4 });
    const lines = Array.from({ length: 12 }, (_, i) => step(10_000 * (Math.floor(i / 4) + 1) + 200 * (i % 4)));
    for (const line of lines.slice(0, 7)) expect(line).not.toContain("left");
    expect(lines[7]).toMatch(/8 of 32 {2}2\.5 s each {2}1 min left$/);
  });

  it("waits until a second has been measured", () => {
    const { step } = counting(100);
    step(1, 1);
    expect(step(500)).not.toContain("left");
    expect(step(1002)).toContain("2.0/s  49 s left");
  });

  it.each([20, 40, 60, 80, 160])("stays within %i columns", (columns) => {
    const { step } = counting(1000, { columns });
    step(0, 1);
    for (const at of [5000, 10_000]) expect(step(at, 300).length).toBeLessThan(columns);
  });

  it("writes a plain line every ten seconds if the output is not a terminal, and none at the end", () => {
    const { step, written } = counting(4, { isTTY: false });
    for (const at of [1000, 5000, 10_000, 20_000]) step(at);
    expect(written).toEqual(["judged 3 of 4  4.5 s each  5 s left\n"]);
  });
});
