import { readFileSync } from "node:fs";
import { platform } from "node:os";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { empty, emptyCache, full, memory, randn, resetPeakMemory, type Tensor, tidy, zeros } from "./index.ts";
import { isOutOfMemory, withMemoryLimit } from "./runtime.ts";

const MiB = 2 ** 20;
/** A float32 tensor of the given size in MiB. */
const sized = (size: number) => zeros([Math.round((size * MiB) / 4)]);

afterEach(() => emptyCache());

describe("memory", () => {
  it("counts live tensors, bytes and their peak", () => {
    const before = memory();
    const t = zeros([250_000]);
    const alias = t.detach();
    expect(memory().liveTensors - before.liveTensors).toBe(2);
    expect(memory().bytes - before.bytes).toBe(1_000_000);
    t.dispose();
    expect(memory().bytes - before.bytes).toBe(1_000_000);
    alias.dispose();
    expect(memory()).toMatchObject({ liveTensors: before.liveTensors, bytes: before.bytes });
    expect(memory().peakBytes).toBeGreaterThanOrEqual(before.bytes + 1_000_000);
    resetPeakMemory();
    expect(memory().peakBytes).toBe(before.bytes);
  });
});

describe("more memory than there is", () => {
  it("is refused with what was asked for, what is available, and what to do", () => {
    const message =
      /: not enough memory: you tried to allocate [\d.]+ GiB, and [\d.]+ GiB are available; use smaller batches/;
    for (const size of [2 ** 40, 2 ** 45, 2 ** 50])
      expect(() => empty([size])).toThrow(
        expect.objectContaining({ code: "E_NATIVE", message: expect.stringMatching(message) }),
      );
  });

  it("is refused before the system kills the process, where the system says how much it has", () => {
    if (platform() !== "linux") return;
    const bytes = Number(/^MemTotal:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]) * 1024;
    const held = sized(300);
    expect(() => empty([Math.floor(bytes / 4)])).toThrow(/not enough memory/);
    held.dispose();
    sized(300).dispose();
  });

  it("than a limit allows is refused while the limit holds", () => {
    const refusal = expect.objectContaining({
      code: "E_NATIVE",
      message: expect.stringMatching(/the limit leaves \d/),
    });
    expect(() => withMemoryLimit(64 * MiB, () => sized(65))).toThrow(refusal);
    expect(isOutOfMemory(thrownBy(() => withMemoryLimit(0, () => sized(1))))).toBe(true);
    withMemoryLimit(64 * MiB, () => sized(63).dispose());
    expect(() => withMemoryLimit(64 * MiB, () => withMemoryLimit(MiB, () => sized(2)))).toThrow(refusal);
    withMemoryLimit(3 * MiB, () => withMemoryLimit(64 * MiB, () => expect(() => sized(4)).toThrow(refusal)));
    sized(65).dispose();
  });
});

function thrownBy(fn: () => unknown): unknown {
  try {
    fn();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

describe("the cache of freed blocks", () => {
  it("keeps a large tensor's memory for the next of its size, and gives it back when it is emptied", () => {
    emptyCache();
    sized(8).dispose();
    expect(memory().cachedBytes).toBeGreaterThanOrEqual(8 * MiB);
    const again = sized(8);
    expect(memory().cachedBytes).toBe(0);
    again.dispose();
    emptyCache();
    expect(memory().cachedBytes).toBe(0);
  });

  it("wastes at most an eighth of a block, and a header", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2 ** 16, max: 2 ** 24 }), (bytes) => {
        emptyCache();
        zeros([bytes], { dtype: "uint8" }).dispose();
        expect(memory().cachedBytes).toBeGreaterThanOrEqual(bytes);
        expect(memory().cachedBytes).toBeLessThanOrEqual((bytes + 128) * 1.126);
      }),
      { numRuns: 100 },
    );
  });

  it("leaves small tensors to malloc", () => {
    emptyCache();
    zeros([1000]).dispose();
    expect(memory().cachedBytes).toBe(0);
  });

  it("never mixes up the contents of tensors, whatever is made and freed in which order", () => {
    const actions = fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.nat(7)), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(actions, (list) => {
        const held = new Map<number, { tensor: Tensor; value: number }>();
        list.forEach(([size, slot], i) => {
          held.get(slot)?.tensor.dispose();
          held.set(slot, { tensor: full([size * 7000], i), value: i });
        });
        for (const { tensor, value } of held.values()) {
          expect([tensor.amin([0]).item(), tensor.amax([0]).item()]).toEqual([value, value]);
          tensor.dispose();
        }
      }),
      { numRuns: 50 },
    );
  });

  it("holds no more than 1.5 times what was ever needed at once, and 64 MiB", () => {
    emptyCache();
    let most = 0;
    for (let size = 1; size <= 96; size++) {
      const t = sized(size);
      most = Math.max(most, memory().bytes);
      t.dispose();
      expect(memory().cachedBytes).toBeLessThanOrEqual(1.5 * 1.126 * Math.max(most, memory().peakBytes) + 64 * MiB);
    }
  });

  it("keeps that bound after an allocation that failed", () => {
    emptyCache();
    expect(() => empty([2 ** 40])).toThrow(/allocate/);
    const { peakBytes } = memory();
    for (let i = 0; i < 12; i++) sized(20 + 6 * i).dispose();
    expect(memory().cachedBytes).toBeLessThanOrEqual(1.5 * 1.126 * Math.max(peakBytes, 96 * MiB) + 64 * MiB);
  });

  it("reports that memory is short, and continues", () => {
    expect(() => zeros([2 ** 50])).toThrow(
      expect.objectContaining({ message: expect.stringMatching(/not enough memory|allocate/) }),
    );
    expect(tidy(() => randn([1000, 1000]).numel)).toBe(1_000_000);
  });
});
