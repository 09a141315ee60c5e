import { describe, expect, it } from "vitest";
import { bytesOf, long, pickle, text, tuple } from "../../test/support/torch-archive.ts";
import { BatchCamError } from "../errors.ts";
import { Callable, Opaque, type PickleValue, Tuple } from "./pickle-value.ts";
import { unpickle } from "./unpickler.ts";

const fail = (problem: string): never => {
  throw new BatchCamError("E_DATA", problem);
};
const globals = new Map<string, Opaque>([
  ["m.pair", new Callable("m.pair", (args) => new Tuple(args))],
  ["m.value", new Opaque("m.value")],
]);
const read = (bytes: Uint8Array) => unpickle(bytes, { globals, persistentLoad: (id) => ["resolved", id], fail });
const tupleOf = (...items: PickleValue[]) => new Tuple(items);
const short = (value: string) => bytesOf(0x8c, value.length, value);
const u64 = (value: number) => long(value).subarray(2);

describe("unpickle", () => {
  it.each<[string, Uint8Array, PickleValue]>([
    ["None", pickle("N"), null],
    ["True and False", pickle(0x88, 0x89, 0x86), tupleOf(true, false)],
    ["unsigned numbers of 1 and 2 bytes", pickle("K", 255, "M", 0xff, 0xfe, 0x86), tupleOf(255, 0xfeff)],
    ["signed numbers of 4 bytes", pickle("J", 0xfe, 0xff, 0xff, 0xff), -2],
    ["long numbers", pickle(0x8a, 0, 0x8a, 1, 0x80, long(2 ** 40), 0x87), tupleOf(0, -128, 2 ** 40)],
    ["longer numbers", pickle(long(-(2n ** 60n))), -(2n ** 60n)],
    ["floats", pickle("G", 0x3f, 0xe0, 0, 0, 0, 0, 0, 0), 0.5],
    [
      "strings",
      pickle(text("naïve \u{1f600}"), short("b"), 0x8d, u64(1), "c", 0x87),
      tupleOf("naïve \u{1f600}", "b", "c"),
    ],
    ["a byte order mark in a string", pickle(text("\ufeffa")), "\ufeffa"],
    ["lists", pickle("](K", 1, "K", 2, "eK", 3, "a"), [1, 2, 3]],
    ["dicts", pickle("}(K", 1, "K", 2, "uNNs"), new Map([[1, 2] as [PickleValue, PickleValue], [null, null]])],
    ["tuples", pickle(")(t", 0x86, "N", 0x85, 0x86), tupleOf(tupleOf(tupleOf(), tupleOf()), tupleOf(null))],
    ["the memo", pickle("K", 7, "q", 3, "r", 0, 1, 0, 0, "0h", 3, "j", 0, 1, 0, 0, 0x86), tupleOf(7, 7)],
    ["the memo of protocol 4", bytesOf(0x80, 4, 0x95, u64(7), "K", 7, 0x94, "0h", 0, "."), 7],
    ["marks that are taken back", pickle("N(0(NN1"), null],
    ["persistent ids", pickle("K", 1, "Q"), ["resolved", 1]],
    [
      "globals of both spellings",
      pickle("cm\nvalue\n", short("m"), short("value"), 0x93, 0x86),
      tupleOf(new Opaque("m.value"), new Opaque("m.value")),
    ],
    ["calls", pickle("cm\npair\nK", 1, "K", 2, 0x86, "R"), tupleOf(1, 2)],
    ["attributes of a dict, passed over", pickle("}}b"), new Map()],
  ])("reads %s", (_, bytes, value) => {
    expect(read(bytes)).toEqual(value);
  });

  it("makes of bytes and sets what no one looks into", () => {
    const parts = [
      bytesOf("C", 2, "ab"),
      bytesOf("B", 1, 0, 0, 0, "a"),
      bytesOf(0x8e, u64(1), "a"),
      bytesOf(0x96, u64(0)),
    ];
    const sets = [bytesOf(0x8f, "(K", 1, 0x90), bytesOf("(K", 1, 0x91)];
    const { items } = read(pickle(tuple([...parts, ...sets]))) as Tuple;
    expect(items.map((item) => (item as Opaque).kind)).toEqual([...Array(4).fill("bytes"), "a set", "a set"]);
  });

  it("makes objects without contents of the names that stand for data, and skips what they are given", () => {
    const isData = (module: string) => module === "d";
    const made = (...parts: (string | number | Uint8Array)[]) =>
      unpickle(pickle(...parts), { globals, isData, persistentLoad: (id) => id, fail });
    const objects = [
      made("cd\nC\n)R"),
      made("cd\nC\n)", 0x81),
      made("cd\nC\n)}", 0x92),
      made("cd\nC\n)R}", text("x"), "K", 1, "sb"),
      made("cd\nC\n)R(K", 1, "K", 2, "e"),
      made("cd\nC\n)R(K", 1, "K", 2, "u"),
      made("cd\nC\n)R(K", 1, 0x90),
    ];
    for (const object of objects) expect(object).toMatchObject({ madeBy: "d.C", isModule: false });
    const state = bytesOf("}", text("_parameters"), "Ns", text("_modules"), "Ns");
    expect(made("cd\nC\n)", 0x81, state, "b")).toMatchObject({ isModule: true });
    expect(() => made("ce\nC\n")).toThrow(/asks for "e.C".*nothing was run/);
    expect(() => made("cd\nC\n]R")).toThrow(/calls d.C with a list/);
  });

  it("reads strings of Python 2 and numbers of hundreds of bytes, and no longer ones", () => {
    expect(read(pickle("U", 2, "ab", "T", 1, 0, 0, 0, "c", 0x86))).toEqual(tupleOf("ab", "c"));
    expect(read(pickle("U", 1, 0xff))).toMatchObject({ kind: "bytes" });
    expect(read(pickle(0x8b, 9, 0, 0, 0, Buffer.alloc(8), 1))).toBe(2n ** 64n);
    expect(() => read(pickle(0x8b, 1, 4, 0, 0, Buffer.alloc(1025)))).toThrow(/a number of 1025 bytes/);
  });

  it("keeps names that objects treat specially", () => {
    const dict = read(pickle("}", text("__proto__"), "K", 1, "s", text("constructor"), "K", 2, "s"));
    expect(dict).toEqual(
      new Map([
        ["__proto__", 1],
        ["constructor", 2],
      ]),
    );
    expect(Object.prototype).not.toHaveProperty("1");
  });

  it("reads a value that contains itself, and one nested a hundred thousand deep", () => {
    const list = read(pickle("]q", 0, "h", 0, "a")) as PickleValue[];
    expect(list[0]).toBe(list);
    expect(read(pickle("N", Buffer.alloc(100_000, 0x85)))).toBeInstanceOf(Tuple);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["nothing", bytesOf(), /ends in the middle: expected 1 byte at 0, got 0/],
    ["protocol 0", bytesOf("I1\n."), /not a pickle of protocol 2 to 5/],
    ["protocol 1", bytesOf(0x80, 1, "N."), /not a pickle of protocol 2 to 5/],
    ["protocol 6", bytesOf(0x80, 6, "N."), /not a pickle of protocol 2 to 5/],
    ["a pickle without an end", bytesOf(0x80, 2, "N"), /ends in the middle/],
    ["an end without a value", pickle(), /takes a value from an empty stack/],
    ["a value beyond a mark", pickle("N(", 0x85), /takes a value from an empty stack/],
    ["an end of a mark that is none", pickle("t"), /ends a mark that it did not set/],
    ["a memo that was not set", pickle("h", 0), /recalls the memo 0/],
    ["a memo of nothing", pickle("q", 0), /empty stack/],
    ["a frame beyond the end", bytesOf(0x80, 4, 0x95, u64(99), "N."), /expected 99 bytes at 11, got 2/],
    ["a string beyond the end", pickle("X", 255, 255, 255, 255), /expected 4294967295 bytes/],
    ["a string of 2^63 bytes", pickle(0x8d, 0, 0, 0, 0, 0, 0, 0, 0x80), /expected 9223372036854776000 bytes/],
    ["bytes beyond the end", pickle("B", 255, 255, 255, 255), /expected 4294967295 bytes/],
    ["a string that is not UTF-8", pickle(0x8c, 1, 0xff), /a string at byte 4 that is not UTF-8/],
    ["a name without an end", pickle("cm"), /unfinished name/],
    ["an item of None", pickle("NNa"), /appends to None/],
    ["an item of a tuple", pickle(")NNs"), /sets items of a tuple/],
    ["a key without a value", pickle("}(Nu"), /a key without a value/],
    ["a list as a key", pickle("}]Ns"), /a list as a dict's key/],
    ["items of a set that is none", pickle("](N", 0x90), /adds items to a list, which is not a set/],
    ["attributes of a number", pickle("K", 1, "}b"), /sets attributes of a number/],
    ["a call of a string", pickle(text("x"), ")R"), /calls a string/],
    ["a call of a value", pickle("cm\nvalue\n)R"), /calls m.value/],
    ["a call with a list", pickle("cm\npair\n]R"), /calls m.pair with a list/],
    ["an unknown global", pickle("cos\nsystem\n"), /asks for "os.system".*nothing was run/],
    ["a global that objects inherit", pickle("c__proto__\nconstructor\n"), /asks for "__proto__.constructor"/],
    ["a global of numbers", pickle("K", 1, "K", 2, 0x93), /names a global with values that are not strings/],
  ])("refuses %s", (_, bytes, message) => {
    expect(() => read(bytes)).toThrow(BatchCamError);
    expect(() => read(bytes)).toThrow(message);
  });

  const known = new Set(`.(01NKMJGXCBUTt]ae}suqrhjcQRb)`.split("").map((character) => character.charCodeAt(0)));
  for (const opcode of [0x80, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x8d, 0x8e, 0x8f]) known.add(opcode);
  for (const opcode of [0x81, 0x8b, 0x92, 0x90, 0x91, 0x93, 0x94, 0x95, 0x96]) known.add(opcode);

  it("refuses every other opcode by its number: those of classes, extensions and old protocols too", () => {
    for (let opcode = 0; opcode < 256; opcode++) {
      if (known.has(opcode)) continue;
      const hex = opcode.toString(16).padStart(2, "0");
      expect(() => read(pickle(opcode))).toThrow(`opcode 0x${hex} at byte 2, which torch.save does not write`);
    }
  });

  it.each([
    ["containers", `](${"}0".repeat(2 ** 20)}`],
    ["values on its stack", "N".repeat(2 ** 20 + 1)],
    ["marks", "(".repeat(2 ** 20 + 1)],
  ])("bounds the number of %s", (what, opcodes) => {
    expect(() => read(pickle(opcodes))).toThrow(`more than ${2 ** 20} ${what}`);
  });

  it("bounds its memo", () => {
    const opcodes = Buffer.concat([Buffer.of(0x80, 4, 0x4e), Buffer.alloc(2 ** 20 + 1, 0x94)]);
    expect(() => read(opcodes)).toThrow(`more than ${2 ** 20} memo entries`);
  });
});
