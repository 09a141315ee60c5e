import { describe, expect, it } from "vitest";
import { crc32, crc32c } from "./checksum.ts";

const ascii = (text: string) => Buffer.from(text, "ascii");

describe("crc32", () => {
  it.each([
    ["123456789", ascii("123456789"), 0xcbf43926],
    ["a sentence", ascii("The quick brown fox jumps over the lazy dog"), 0x414fa339],
    ["nothing", new Uint8Array(0), 0],
  ])("is the published value for %s", (_, data, expected) => {
    expect(crc32(data)).toBe(expected);
  });
});

describe("crc32c", () => {
  it.each([
    ["123456789", ascii("123456789"), 0xe3069283],
    ["32 zeros (RFC 3720)", new Uint8Array(32), 0x8a9136aa],
    ["32 bytes of ones (RFC 3720)", new Uint8Array(32).fill(255), 0x62a8ab43],
    ["0 to 31 (RFC 3720)", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ["nothing", new Uint8Array(0), 0],
  ])("is the published value for %s", (_, data, expected) => {
    expect(crc32c(data)).toBe(expected);
  });
});
