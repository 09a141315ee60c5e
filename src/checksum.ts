/** CRC-32 as in zip files, and CRC-32C (Castagnoli) as in TensorFlow's records. Both are bit-reflected. */
export const crc32 = checksum(0xedb88320);
export const crc32c = checksum(0x82f63b78);

/** Makes a checksum function for data that may come in pieces. `previous` is the checksum of the preceding pieces. */
function checksum(polynomial: number): (data: Uint8Array, previous?: number) => number {
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    return value >>> 0;
  });
  return (data, previous = 0) => {
    let crc = previous ^ 0xffffffff;
    for (let i = 0; i < data.length; i++) crc = (crc >>> 8) ^ (table[(crc ^ (data[i] as number)) & 0xff] as number);
    return (crc ^ 0xffffffff) >>> 0;
  };
}
