import { endianness } from "node:os";
import { types } from "node:util";
import { expectInteger, wrongArgument } from "../../arguments.ts";
import { counted } from "../../counted.ts";
import { BatchCamError } from "../../errors.ts";

/** Typed arrays whose elements a .npy file can hold. */
export type NpyData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

// NumPy's letters for the kind of element; its size follows.
const KINDS: Readonly<Record<string, string>> = { Float: "f", Int: "i", BigInt: "i", Uint: "u", BigUint: "u" };
const ALIGNMENT = 64;
const BYTE_ORDER = endianness() === "LE" ? "<" : ">";

/**
 * An array as NumPy's .npy file, format version 1.0: `\x93NUMPY`, the version, the header's length (uint16), a Python dict
 * `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }` padded to a multiple of 64 bytes, then the elements, row-major.
 *
 * @param shape sizes of the dimensions; `[]` for a scalar
 * @throws E_ARGUMENT for an array of another type or a size that is not a whole number, E_SHAPE if the shape does not have as many
 *   elements as the data
 */
export function encodeNpy(data: NpyData, shape: readonly number[]): Uint8Array {
  const descr = descriptor(data);
  if (!Array.isArray(shape)) throw wrongArgument("encodeNpy: shape", "a list of sizes", shape);
  shape.forEach((size, index) => {
    expectInteger(`encodeNpy: shape[${index}]`, size, 0);
  });
  const count = shape.reduce((product, size) => product * size, 1);
  if (count !== data.length) {
    const expected = `${counted(count, "element")} for shape [${shape.join(", ")}]`;
    throw new BatchCamError("E_SHAPE", `encodeNpy: data must hold ${expected}, got ${data.length}`);
  }
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const dict = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const start = Math.ceil((PREAMBLE + dict.length + 1) / ALIGNMENT) * ALIGNMENT;
  const file = Buffer.alloc(start + data.byteLength, " ");
  file.write("\x93NUMPY\x01\x00", "latin1");
  file.writeUInt16LE(start - PREAMBLE, 8);
  file.write(`${dict.padEnd(start - PREAMBLE - 1)}\n`, PREAMBLE, "latin1");
  file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start);
  return new Uint8Array(file.buffer, file.byteOffset, file.length);
}

const PREAMBLE = 10;

function descriptor(data: NpyData): string {
  const [, name = "", bits = ""] =
    /^([A-Za-z]+?)(\d+)Array$/.exec(types.isTypedArray(data) ? data.constructor.name : "") ?? [];
  const kind = KINDS[name];
  if (kind === undefined) throw wrongArgument("encodeNpy: data", "an array of numbers such as a Float32Array", data);
  return `${bits === "8" ? "|" : BYTE_ORDER}${kind}${Number(bits) / 8}`;
}
