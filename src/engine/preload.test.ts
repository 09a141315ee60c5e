import { afterEach, describe, expect, it } from "vitest";
import { preloadAddon, setSpinCount } from "./preload.ts";

const before = process.env.GOMP_SPINCOUNT;
afterEach(() => {
  if (before === undefined) delete process.env.GOMP_SPINCOUNT;
  else process.env.GOMP_SPINCOUNT = before;
});

describe("preloadAddon", () => {
  it("does not disturb the import of the engine, which runs at the same time", async () => {
    preloadAddon();
    const { native } = await import("./addon.ts");
    expect(native.capabilities().version).toMatch(/^\d+\.\d+/);
  });

  it("leaves the spin count that the user chose", () => {
    process.env.GOMP_SPINCOUNT = "7";
    setSpinCount();
    expect(process.env.GOMP_SPINCOUNT).toBe("7");
    delete process.env.GOMP_SPINCOUNT;
    setSpinCount();
    expect(process.env.GOMP_SPINCOUNT).toBe("10000");
  });
});
