import { describe, expect, it } from "vitest";
import { keep, memory, noGrad, ones, randn, type Tensor, tensor, tidy, zeros } from "./index.ts";

const live = () => memory().liveTensors;

/** The number of tensors that fn leaves alive, as the engine counts them. */
function leftBy(fn: () => void): number {
  const before = live();
  fn();
  return live() - before;
}

describe("tidy", () => {
  it("frees what its function made and did not return", () => {
    let inner: Tensor | undefined;
    const left = leftBy(() => {
      tidy(() => {
        inner = zeros([3]);
        inner.add(1).mul(2);
      });
    });
    expect([left, inner?.isDisposed]).toEqual([0, true]);
  });

  it("keeps a result that is a tensor", () => {
    const before = live();
    const result = tidy(() => ones([2]).add(1).mul(3));
    expect([live() - before, result.isDisposed]).toEqual([1, false]);
    expect(result).toBeAllclose([6, 6]);
    result.dispose();
    expect(live()).toBe(before);
  });

  it("keeps the tensors of arrays, Maps and plain objects, nested", () => {
    const before = live();
    const result = tidy(() => ({
      list: [zeros([1]), [zeros([1])], null, 3],
      map: new Map([["a", { deep: zeros([1]) }]]),
      bare: Object.assign(Object.create(null), { t: zeros([1]) }) as { t: Tensor },
      text: "text",
      dropped: zeros([1]).shape,
    }));
    expect(live() - before).toBe(4);
    expect(result.map.get("a")?.deep.isDisposed).toBe(false);
    expect(result.bare.t.isDisposed).toBe(false);
  });

  it("ends on a result that contains itself", () => {
    interface Loop {
      self?: Loop;
      t: Tensor;
    }
    const result = tidy(() => {
      const loop: Loop = { t: zeros([1]) };
      loop.self = loop;
      return loop;
    });
    expect(result.t.isDisposed).toBe(false);
  });

  it("does not look into instances of classes", () => {
    class Box {
      t = zeros([1]);
    }
    expect(tidy(() => new Box()).t.isDisposed).toBe(true);
  });

  it("hands a result to the enclosing scope, which frees it in turn", () => {
    const made: Tensor[] = [];
    const left = leftBy(() => {
      tidy(() => {
        const inner = tidy(() => {
          made.push(zeros([1]));
          return tidy(() => ones([1]));
        });
        expect([inner.isDisposed, made[0]?.isDisposed]).toEqual([false, true]);
        made.push(inner);
      });
    });
    expect([left, made[1]?.isDisposed]).toEqual([0, true]);
  });

  it("leaves alone what it returns but did not make", () => {
    const weight = zeros([1]);
    tidy(() => {
      const outer = zeros([1]);
      tidy(() => {
        const found = tidy(() => [weight, outer]);
        expect(found[0]).toBe(weight);
      });
      expect(outer.isDisposed).toBe(false);
    });
    expect(weight.isDisposed).toBe(false);
  });

  it("frees everything where its function throws, and passes the error on", () => {
    const problem = new TypeError("mine");
    const left = leftBy(() => {
      const run = () =>
        tidy(() => {
          zeros([1]).add(1);
          throw problem;
        });
      expect(run).toThrow(problem);
    });
    expect(left).toBe(0);
    expect(leftBy(() => expect(() => tidy(() => zeros([2]).add(zeros([3])))).toThrow(/add/))).toBe(0);
  });

  it("goes back to the enclosing scope after a throw", () => {
    const left = leftBy(() => {
      tidy(() => {
        expect(() => tidy(() => zeros([-1]))).toThrow();
        zeros([1]);
      });
    });
    expect(left).toBe(0);
  });

  it.each<[string, () => unknown]>([
    ["an async function", async () => zeros([1])],
    ["a promise", () => Promise.resolve(1)],
    // biome-ignore lint/suspicious/noThenProperty: what is refused.
    ["a thenable", () => ({ then: () => {} })],
  ])("refuses %s", (_, fn) => {
    const left = leftBy(() =>
      expect(() => tidy(fn)).toThrow(
        expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringMatching(/tidy: .*synchronous/) }),
      ),
    );
    expect(left).toBe(0);
  });

  it.each([undefined, null, 3, "x", {}])("refuses %o for a function", (fn) => {
    expect(() => tidy(fn as never)).toThrow(
      expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringMatching(/tidy: expected a function/) }),
    );
  });

  it("frees more tensors than one native call takes", () => {
    const t = zeros([1]);
    const left = leftBy(() => {
      tidy(() => {
        for (let i = 0; i < 70_000; i++) t.detach();
        expect(memory().liveTensors).toBeGreaterThan(70_000);
      });
    });
    expect(left).toBe(0);
  });

  it("frees the graph of what it drops", () => {
    const weight = randn([100, 100], { requiresGrad: true });
    const before = memory().bytes;
    for (let i = 0; i < 20; i++) tidy(() => void weight.matmul(weight).relu().sum());
    expect(memory().bytes).toBe(before);
  });
});

describe("keep", () => {
  it("exempts a tensor from every enclosing tidy, also where it is returned", () => {
    const kept = tidy(() => tidy(() => keep(zeros([1]))));
    expect(kept.isDisposed).toBe(false);
    const cached: Tensor[] = [];
    tidy(() => {
      tidy(() => void cached.push(keep(zeros([1]))));
    });
    expect(cached[0]?.isDisposed).toBe(false);
    expect(keep(kept)).toBe(kept);
  });

  it("refuses a value that is not a live tensor", () => {
    const gone = zeros([1]);
    gone.dispose();
    expect(() => keep(gone)).toThrow(expect.objectContaining({ code: "E_DISPOSED" }));
    expect(() => keep(3 as never)).toThrow(/keep: tensor: expected a Tensor, got 3/);
  });
});

describe("dispose", () => {
  it("frees memory at once, once", () => {
    const before = memory();
    const t = zeros([1000]);
    expect(memory().bytes - before.bytes).toBe(4000);
    t.dispose();
    t.dispose();
    expect([memory().bytes, live()]).toEqual([before.bytes, before.liveTensors]);
    expect([t.isDisposed, String(t)]).toEqual([true, "tensor(disposed)"]);
  });

  it("happens at the end of a block with using", () => {
    let seen: Tensor | undefined;
    {
      using t = zeros([1]);
      seen = t;
      expect(t.isDisposed).toBe(false);
    }
    expect(seen.isDisposed).toBe(true);
  });

  it("leaves memory that another tensor shares", () => {
    const base = tensor([1, 2, 3]);
    const view = base.narrow(0, 1, 2);
    base.dispose();
    expect(view).toBeAllclose([2, 3]);
  });

  it("makes every later use an E_DISPOSED that names the operation and the argument", () => {
    const gone = zeros([2]);
    const alive = zeros([2]);
    gone.dispose();
    const uses: [() => unknown, RegExp][] = [
      [() => gone.add(1), /^add: self: the tensor was disposed/],
      [() => alive.add(gone), /^add: other: the tensor was disposed/],
      [() => alive.add_(gone), /^add_: other/],
      [() => gone.shape, /disposed/],
      [() => gone.dtype, /disposed/],
      [() => gone.data(), /disposed/],
      [() => gone.item(), /disposed/],
      [() => gone.grad, /^grad: /],
      [() => gone.requiresGrad, /^requiresGrad: /],
      [() => gone.requiresGrad_(), /^requiresGrad_: /],
      [() => gone.detach(), /^detach: self/],
      [() => noGrad(() => gone.to("float64")), /^to: the tensor was disposed/],
    ];
    for (const [use, message] of uses) {
      expect(use).toThrow(expect.objectContaining({ code: "E_DISPOSED", message: expect.stringMatching(message) }));
    }
  });

  it("never lets an old tensor reach a new one in the same slot", () => {
    const gone = zeros([1]);
    gone.dispose();
    for (let i = 0; i < 2000; i++) {
      using other = ones([1]);
      expect(() => gone.item()).toThrow(/disposed/);
      expect(other.item()).toBe(1);
    }
  });
});
