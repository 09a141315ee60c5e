const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/**
 * The largest number of significant bits that a PNG file's sBIT chunk names; null for other files and files without the chunk.
 *
 * Source: Portable Network Graphics (Third Edition), 5.3 (chunks) and 11.3.2.7 (sBIT).
 */
export function significantBits(bytes: Uint8Array): number | null {
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = SIGNATURE.length; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (type === "IDAT") return null; // sBIT stands before it
    if (type === "sBIT") return Math.max(0, ...bytes.subarray(at + 8, at + 8 + Math.min(length, 4))) || null;
    at += 12 + length;
  }
  return null;
}
