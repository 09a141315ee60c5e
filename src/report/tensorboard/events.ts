import { crc32c } from "../../checksum.ts";

/**
 * One record of a TFRecord file, the format of TensorBoard's event files: the length (uint64, little-endian) and the data, each followed
 * by its masked CRC-32C.
 */
export function eventRecord(data: Uint8Array): Buffer {
  const record = Buffer.alloc(data.length + 16);
  record.writeBigUInt64LE(BigInt(data.length));
  record.writeUInt32LE(maskedCrc(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc(data), 12 + data.length);
  return record;
}

/** The form in which TensorFlow stores a checksum next to its data: rotated by 15 bits, plus a constant. */
function maskedCrc(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

// The messages of TensorBoard's event files (event.proto, summary.proto, tensor.proto), in protobuf's wire format.

/** One value of a summary. */
export type SummaryValue =
  | { tag: string; scalar: number }
  | { tag: string; image: { png: Uint8Array; width: number; height: number } }
  /** Markdown. */
  | { tag: string; text: string };

export type EventContent =
  | { fileVersion: string }
  | { summary: readonly SummaryValue[] }
  /** A resumed run: TensorBoard discards what was logged from this step on. */
  | { sessionStart: true };

/** @param wallTime in seconds */
export function encodeEvent(content: EventContent, { wallTime, step }: { wallTime: number; step: number }): Uint8Array {
  const time = Buffer.alloc(8);
  time.writeDoubleLE(wallTime);
  return Buffer.concat([field(1, FIXED64), time, numberField(2, step), contentField(content)]);
}

function contentField(content: EventContent): Buffer {
  if ("fileVersion" in content) return bytesField(3, Buffer.from(content.fileVersion));
  if ("sessionStart" in content) return bytesField(7, numberField(1, 1)); // SessionLog { status: START }
  return bytesField(5, Buffer.concat(content.summary.map((value) => bytesField(1, encodeValue(value)))));
}

function encodeValue(value: SummaryValue): Buffer {
  const tag = bytesField(1, Buffer.from(value.tag));
  if ("scalar" in value) {
    const scalar = Buffer.alloc(4);
    scalar.writeFloatLE(value.scalar);
    return Buffer.concat([tag, field(2, FIXED32), scalar]);
  }
  if ("image" in value) {
    const { png, width, height } = value.image;
    const image = [numberField(1, height), numberField(2, width), numberField(3, RGBA), bytesField(4, png)];
    return Buffer.concat([tag, bytesField(4, Buffer.concat(image))]);
  }
  return Buffer.concat([tag, bytesField(8, textTensor(value.text)), bytesField(9, pluginMetadata("text"))]);
}

/** TensorProto of one string. */
const textTensor = (text: string): Buffer =>
  Buffer.concat([
    numberField(1, DT_STRING),
    bytesField(2, bytesField(2, numberField(1, 1))), // shape [1]
    bytesField(8, Buffer.from(text)),
  ]);

const pluginMetadata = (plugin: string): Buffer => bytesField(1, bytesField(1, Buffer.from(plugin)));

const [VARINT, FIXED64, BYTES, FIXED32] = [0, 1, 2, 5] as const;
const [DT_STRING, RGBA] = [7, 4];

const field = (number: number, wire: number): Buffer => varint(number * 8 + wire);
const numberField = (number: number, value: number): Buffer => Buffer.concat([field(number, VARINT), varint(value)]);
const bytesField = (number: number, bytes: Uint8Array): Buffer =>
  Buffer.concat([field(number, BYTES), varint(bytes.length), bytes]);

/** The encoding of an integer from 0 to 2^53 − 1. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}
