import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BatchCamError } from "../errors.ts";
import { DTYPES, type DType } from "../tensor/dtype.ts";
import { buildHeader, parseHeader } from "./safetensors-header.ts";

const fail = (problem: string): never => {
  throw new BatchCamError("E_DATA", problem);
};
const parse = (json: string | Uint8Array, dataBytes = 0) =>
  parseHeader(typeof json === "string" ? new TextEncoder().encode(json) : json, dataBytes, fail);
const entry = (fields: string) => `{"a":{${fields}}}`;
const u8 = (begin: number, end: number, shape = `[${end - begin}]`) =>
  `{"dtype":"U8","shape":${shape},"data_offsets":[${begin},${end}]}`;

const dtypes = Object.keys(DTYPES) as DType[];
const described = fc
  .uniqueArray(
    fc.record({
      name: fc.string({ unit: "binary" }).filter((name) => name !== "__metadata__"),
      dtype: fc.constantFrom(...dtypes),
      shape: fc.array(fc.nat({ max: 4 }), { maxLength: 4 }),
    }),
    { selector: ({ name }) => name, maxLength: 12 },
  )
  .map((tensors) => tensors.map((tensor) => ({ ...tensor })));
const texts = fc.dictionary(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }));

describe("buildHeader", () => {
  it("is read back by parseHeader, whatever the names, shapes and metadata", () => {
    fc.assert(
      fc.property(described, texts, (tensors, metadata) => {
        const { header, entries } = buildHeader(tensors, metadata);
        const view = new DataView(header.buffer, header.byteOffset);
        expect(Number(view.getBigUint64(0, true))).toBe(header.length - 8);
        expect(header.length % 8).toBe(0);
        const bytes = entries.reduce((sum, found) => sum + found.bytes, 0);
        const read = parse(header.subarray(8), bytes);
        const byName = (list: readonly { name: string }[]) => list.toSorted((a, b) => (a.name < b.name ? -1 : 1));
        expect(byName(read.entries)).toEqual(byName(entries));
        expect(Object.fromEntries(read.metadata)).toEqual(Object.fromEntries(Object.entries(metadata)));
        for (const { dtype, begin } of entries) expect(begin % DTYPES[dtype].bytes).toBe(0);
      }),
    );
  });

  it("puts the widest dtypes first, then names in the order of their bytes, whatever order they come in", () => {
    const tensors = [
      { name: "\u{1f600}", dtype: "uint8", shape: [1] },
      { name: "\uffff", dtype: "uint8", shape: [1] },
      { name: "b", dtype: "float32", shape: [] },
      { name: "a", dtype: "bool", shape: [1] },
      { name: "c", dtype: "int64", shape: [0, 2] },
      { name: "a2", dtype: "float32", shape: [1] },
    ] as const;
    const order = ["c", "a2", "b", "\uffff", "\u{1f600}", "a"];
    expect(buildHeader(tensors, {}).entries.map(({ name }) => name)).toEqual(order);
    const reversed = buildHeader(tensors.toReversed(), { z: "1", a: "2" }).header;
    expect(reversed).toEqual(buildHeader(tensors, { a: "2", z: "1" }).header);
  });

  it.each([
    [[{ name: "__metadata__", dtype: "uint8" as const, shape: [] }], {}, /must not be named "__metadata__"/],
    [[{ name: "\ud800", dtype: "uint8" as const, shape: [] }], {}, /half of a surrogate pair/],
    [[], { key: 3 as unknown as string }, /metadata "key" must be a string, got number/],
    [[], { "\udfff": "x" }, /half of a surrogate pair/],
    [[], { x: "a".repeat(100_000_001) }, /at most 100000000 bytes/],
  ])("refuses what a file cannot hold (%#)", (tensors, metadata, message) => {
    expect(() => buildHeader(tensors, metadata)).toThrow(message);
  });
});

describe("parseHeader", () => {
  it("takes white space, escapes, metadata and empty tensors anywhere in the data", () => {
    const json = `{ "__metadata__" : {"k\\u00e9":"\\n"} ,\n"\\u0061":${u8(0, 2)},"e":${u8(2, 2, "[0, 3]")},"b":${u8(2, 3)} }\t `;
    const { metadata, entries } = parse(json, 3);
    expect([...metadata]).toEqual([["ké", "\n"]]);
    expect(entries.map(({ name, begin, bytes }) => [name, begin, bytes])).toEqual([
      ["a", 0, 2],
      ["e", 2, 0],
      ["b", 2, 1],
    ]);
    expect(parse("{}").entries).toEqual([]);
  });

  it("keeps names that objects treat specially", () => {
    const { entries, metadata } = parse(`{"__metadata__":{"__proto__":"x"},"__proto__":${u8(0, 1)}}`, 1);
    expect(entries[0]?.name).toBe("__proto__");
    expect([...metadata]).toEqual([["__proto__", "x"]]);
  });

  it.each([
    ["an overlap", `{"a":${u8(0, 2)},"b":${u8(1, 3)}}`, 3, /tensor "b" overlaps the one before: .* at 2, got 1/],
    ["the same data twice", `{"a":${u8(0, 2)},"b":${u8(0, 2)}}`, 2, /"b" overlaps/],
    ["a hole", `{"a":${u8(0, 1)},"b":${u8(2, 3)}}`, 3, /tensor "b" leaves a hole before it: .* at 1, got 2/],
    ["a hole at the start", `{"a":${u8(1, 2)}}`, 2, /leaves a hole before it: expected its data at 0, got 1/],
    ["an empty tensor beyond the data", `{"a":${u8(5, 5)}}`, 0, /hole/],
    ["data that no tensor owns", `{"a":${u8(0, 1)}}`, 2, /expected 1 byte of data after the header, got 2/],
    ["cut data", `{"a":${u8(0, 4)}}`, 3, /expected 4 bytes of data after the header, got 3/],
    ["offsets beyond the file", `{"a":${u8(0, 4096)}}`, 3, /expected 4096 bytes/],
    ["offsets that run backwards", `{"a":${u8(2, 0, "[2]")}}`, 2, /that are 2 apart \(U8 \[2\]\), got \[2, 0\]/],
    ["offsets that do not fit the shape", `{"a":${u8(0, 3, "[2, 2]")}}`, 3, /that are 4 apart/],
    ["one offset", entry('"dtype":"U8","shape":[0],"data_offsets":[0]'), 0, /data_offsets/],
    ["three offsets", entry('"dtype":"U8","shape":[0],"data_offsets":[0,0,0]'), 0, /got \[0, 0, 0\]/],
    ["an unknown dtype", entry('"dtype":"F33","shape":[],"data_offsets":[0,4]'), 4, /an unknown dtype, "F33"/],
    [
      "a dtype of others",
      entry('"dtype":"F8_E4M3","shape":[],"data_offsets":[0,1]'),
      1,
      /engine does not support, "F8_E4M3"/,
    ],
    ["a name twice", `{"a":${u8(0, 1)},"a":${u8(1, 2)}}`, 2, /the header has the name "a" twice/],
    ["a name twice in disguise", `{"a":${u8(0, 1)},"\\u0061":${u8(1, 2)}}`, 2, /the name "a" twice/],
    ["a metadata name twice", '{"__metadata__":{"k":"1","k":"2"}}', 0, /__metadata__ has the name "k" twice/],
    ["metadata twice", '{"__metadata__":{},"__metadata__":{}}', 0, /"__metadata__" twice/],
    ["a field twice", entry('"dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]'), 1, /"dtype" twice/],
    ["an unknown field", entry('"dtype":"U8","shape":[],"data_offsets":[0,1],"x":1'), 1, /the unknown field "x"/],
    ["a field missing", entry('"dtype":"U8","shape":[]'), 1, /needs the fields dtype, shape and data_offsets/],
    ["metadata of numbers", '{"__metadata__":{"k":1}}', 0, /expected a string at character 21 .*, got "1}}"/],
    ["metadata that is a list", '{"__metadata__":[]}', 0, /expected "{"/],
    ["a negative size", entry('"dtype":"U8","shape":[-1],"data_offsets":[0,1]'), 1, /expected an integer from 0/],
    ["a fractional size", entry('"dtype":"U8","shape":[1.0],"data_offsets":[0,1]'), 1, /expected an integer from 0/],
    ["an exponent", entry('"dtype":"U8","shape":[1e0],"data_offsets":[0,1]'), 1, /expected an integer from 0/],
    ["a leading zero", entry('"dtype":"U8","shape":[01],"data_offsets":[0,1]'), 1, /expected an integer from 0/],
    ["a size beyond 2^53", entry('"dtype":"U8","shape":[9007199254740993],"data_offsets":[0,1]'), 1, /integer from 0/],
    ["a size of 10^30", entry(`"dtype":"U8","shape":[1${"0".repeat(30)}],"data_offsets":[0,1]`), 1, /integer from 0/],
    ["a product beyond 2^53", `{"a":${u8(0, 1, `[${Array(8).fill(2 ** 32)}]`)}}`, 1, /too large for any memory/],
    ["a huge shape without elements", `{"a":${u8(0, 0, `[0,${2 ** 52},${2 ** 52}]`)}}`, 0, /too large for any memory/],
    ["65 dimensions", `{"a":${u8(0, 1, `[${Array(65).fill(1)}]`)}}`, 1, /at most 64 dimensions, got 65/],
    ["a size that is a string", entry('"dtype":"U8","shape":["1"],"data_offsets":[0,1]'), 1, /expected an integer/],
    ["a list instead of an object", "[]", 0, /expected "{" at character 0 of the header, got "\[\]"/],
    ["a header cut short", '{"a":{"dtype":"U8"', 0, /got its end/],
    ["nothing", "", 0, /expected "{" at character 0 of the header, got its end/],
    ["an unfinished string", '{"a', 0, /expected a string at character 1/],
    ["a control character in a string", '{"a\n":{}}', 0, /expected a string at character 1/],
    ["a bad escape", '{"\\x":{}}', 0, /expected a string at character 1/],
    ["a trailing comma", `{"a":${u8(0, 1)},}`, 1, /expected a string/],
    ["something after the end", "{}x", 0, /expected the end at character 2/],
    ["a byte order mark", "\ufeff{}", 0, /expected "{"/],
    ["bytes that are not UTF-8", Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d), 0, /expected a header in UTF-8/],
  ])("refuses %s", (_, json, dataBytes, message) => {
    expect(() => parse(json, dataBytes)).toThrow(message);
  });

  it("refuses deep nesting and giant literals without exhausting the stack", () => {
    for (const json of [
      "[".repeat(1e6),
      '{"a":'.repeat(1e6),
      `{"${"\\".repeat(1e6)}`,
      `{"a":{"shape":[${"1".repeat(1e6)}]}}`,
    ]) {
      expect(() => parse(json)).toThrow(BatchCamError);
    }
  });

  it("cuts a long name in its message", () => {
    expect(() => parse(`{"${"n".repeat(500)}":{}}`)).toThrow(/^tensor "n{80}…" needs/);
  });
});
