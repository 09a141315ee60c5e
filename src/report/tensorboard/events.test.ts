import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readEvents } from "../../../test/support/event-reader.ts";
import { crc32c } from "../../checksum.ts";
import { type EventContent, encodeEvent, eventRecord } from "./events.ts";

const ascii = (text: string) => Buffer.from(text, "ascii");

describe("eventRecord", () => {
  it("is the length, the data and the masked checksums of both", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
        const record = eventRecord(data);
        const unmasked = (at: number) => {
          const turned = (record.readUInt32LE(at) - 0xa282ead8) >>> 0;
          return ((turned >>> 17) | (turned << 15)) >>> 0;
        };
        expect(Number(record.readBigUInt64LE(0))).toBe(data.length);
        expect(record.subarray(12, 12 + data.length).equals(data)).toBe(true);
        expect(unmasked(8)).toBe(crc32c(record.subarray(0, 8)));
        expect(unmasked(12 + data.length)).toBe(crc32c(data));
      }),
    );
  });
});

describe("encodeEvent", () => {
  const image = { png: ascii("png"), width: 3, height: 200 };

  // The bytes that tensorboard 2.20.0 writes for the same event: Event(wall_time=1.5, step=300,
  // ...).SerializeToString().
  it.each<[string, EventContent, string]>([
    ["the version that opens a file", { fileVersion: "brain.Event:2" }, "1a0d627261696e2e4576656e743a32"],
    ["a scalar", { summary: [{ tag: "a", scalar: 0.5 }] }, "2a0a0a080a0161150000003f"],
    ["a picture", { summary: [{ tag: "b", image }] }, "2a130a110a0162220c08c801100318042203706e67"],
    ["a text", { summary: [{ tag: "c", text: "t" }] }, "2a1c0a1a0a0163420b08071204120208014201744a080a060a0474657874"],
    ["the start of a session", { sessionStart: true }, "3a020801"],
  ])("writes %s byte for byte as TensorBoard does", (_, content, bytes) => {
    const message = encodeEvent(content, { wallTime: 1.5, step: 300 });
    expect(Buffer.from(message).toString("hex")).toBe(`09000000000000f83f10ac02${bytes}`);
  });

  it("keeps any step, tag and number", () => {
    const event = { tag: fc.string({ unit: "grapheme" }), scalar: fc.float({ noNaN: true }), step: fc.maxSafeNat() };
    fc.assert(
      fc.property(fc.record(event), ({ tag, scalar, step }) => {
        const record = eventRecord(encodeEvent({ summary: [{ tag, scalar }] }, { wallTime: 0.25, step }));
        expect(readEvents(record)).toEqual([{ wallTime: 0.25, step, values: [{ tag, scalar }] }]);
      }),
    );
  });
});
