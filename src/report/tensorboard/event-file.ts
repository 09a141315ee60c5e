import { crc32c } from "../../checksum.ts";

/**
 * One record of a TFRecord file, as TensorBoard's event files hold them: the length (uint64, little-endian) and the data, each
 * behind it with its masked CRC-32C.
 */
export function eventRecord(data: Uint8Array): Buffer {
  const record = Buffer.alloc(data.length + 16);
  record.writeBigUInt64LE(BigInt(data.length));
  record.writeUInt32LE(maskedCrc(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc(data), 12 + data.length);
  return record;
}

/** TensorFlow masks checksums that are stored beside what they check: rotated by 15 bits, and a constant added. */
function maskedCrc(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
