import { counted } from "../counted.ts";
import type { Fail } from "./tensor-file.ts";

const NEWLINE = 10;

/** Reads the arguments of a pickle's opcodes in sequence. Reading beyond the end calls `fail`. */
export class PickleReader {
  position = 0;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  private readonly fail: Fail;

  constructor(bytes: Uint8Array, fail: Fail) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.fail = fail;
  }

  u8 = () => this.view.getUint8(this.advance(1));
  u16 = () => this.view.getUint16(this.advance(2), true);
  u32 = () => this.view.getUint32(this.advance(4), true);
  i32 = () => this.view.getInt32(this.advance(4), true);
  /** A 64-bit length. Above 2^53 it is rounded, which does not matter because it exceeds any file. */
  u64 = () => Number(this.view.getBigUint64(this.advance(8), true));
  f64 = () => this.view.getFloat64(this.advance(8), false);

  /** A two's complement integer of any length. It is a number if that is exact, otherwise a bigint. */
  long(length: number): number | bigint {
    let value = 0n;
    for (const byte of this.take(length).toReversed()) value = (value << 8n) | BigInt(byte);
    const signed = BigInt.asIntN(8 * length, value);
    const number = Number(signed);
    return Number.isSafeInteger(number) ? number : signed;
  }

  text(length: number): string {
    const start = this.position;
    try {
      return this.decoder.decode(this.take(length));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return this.fail(`data.pkl has a string at byte ${start} that is not UTF-8`);
    }
  }

  line(): string {
    const end = this.bytes.indexOf(NEWLINE, this.position);
    if (end < 0) return this.fail(`data.pkl has an unfinished name at byte ${this.position}`);
    const text = this.text(end - this.position);
    this.position++;
    return text;
  }

  /** Skips the header of a frame, which only says how many bytes to read at once. */
  frame(): void {
    const length = this.u64();
    this.advance(length);
    this.position -= length;
  }

  take(length: number): Uint8Array {
    const start = this.advance(length);
    return this.bytes.subarray(start, start + length);
  }

  private advance(length: number): number {
    const start = this.position;
    if (length > this.bytes.length - start) {
      this.fail(
        `data.pkl ends in the middle: expected ${counted(length, "byte")} at ${start}, got ${this.bytes.length - start}`,
      );
    }
    this.position += length;
    return start;
  }
}
