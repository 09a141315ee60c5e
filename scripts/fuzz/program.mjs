// Damages programs of torch.export (.pt2): the bytes of the archive, or a value of its JSON.
import { mutate } from "./mutate.mjs";
/** @import { Random } from "./random.mjs" */

/** @typedef {{ name: string, data: Buffer }} Entry */

/**
 * The entries of a zip archive that compresses none.
 *
 * @param {Buffer} zip
 * @returns {Entry[]}
 */
export function storedEntries(zip) {
  const end = zip.lastIndexOf("PK\x05\x06", undefined, "latin1");
  const entries = [];
  let at = zip.readUInt32LE(end + 16);
  for (let count = zip.readUInt16LE(end + 10); count > 0; count--) {
    const [size, name, extra, comment] = [
      zip.readUInt32LE(at + 24),
      ...[28, 30, 32].map((o) => zip.readUInt16LE(at + o)),
    ];
    const local = zip.readUInt32LE(at + 42);
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    entries.push({
      name: zip.toString("utf8", at + 46, at + 46 + (name ?? 0)),
      data: zip.subarray(start, start + (size ?? 0)),
    });
    at += 46 + (name ?? 0) + (extra ?? 0) + (comment ?? 0);
  }
  return entries;
}

/**
 * A zip archive without checksums, so that damaged entries are still read.
 *
 * @param {readonly Entry[]} entries
 */
export function zipWithoutSums(entries) {
  /** @type {[Buffer[], Buffer[]]} */
  const [locals, central] = [[], []];
  let position = 0;
  for (const { name, data } of entries) {
    const path = Buffer.from(name);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(path.length, 22);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(position, 10);
    const local = Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), common, path, data]);
    locals.push(local);
    central.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x00", "latin1"), common, tail, path]));
    position += local.length;
  }
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", 0, "latin1");
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(Buffer.concat(central).length, 12);
  end.writeUInt32LE(position, 16);
  return Buffer.concat([...locals, ...central, end]);
}

/**
 * A damaged copy of a program: one to three values of its JSON are changed, or its bytes.
 *
 * @param {Buffer} zip
 * @param {Random} random
 */
export function mutateProgram(zip, random) {
  if (random.below(3) === 0) return mutate(zip, random);
  const entries = storedEntries(zip);
  const json = entries.filter(({ name }) => name.endsWith(".json"));
  const entry = random.pick(random.below(3) === 0 ? json : json.filter(({ data }) => data.length > 4000));
  if (entry === undefined) return mutate(zip, random);
  const value = JSON.parse(entry.data.toString().replaceAll(/-?\bInfinity\b(?!")/g, "1e999"));
  for (let count = 1 + random.below(3); count > 0; count--) changeOne(value, random);
  entry.data = Buffer.from(JSON.stringify(value));
  return zipWithoutSums(entries);
}

const JUNK = [
  ...[0, 1, -1, 0.5, 2 ** 31, 2 ** 53, 1e9, 1e300, -(2 ** 63)],
  ...[
    "",
    "x",
    "\0",
    "__proto__",
    "constructor",
    "linear",
    "Symbol('u0')",
    "..",
    "../weight_0",
    "torch.ops.higher_order.cond",
  ],
  ...[null, true, false],
];

/**
 * Changes one value somewhere in a JSON value.
 *
 * @param {unknown} root
 * @param {Random} random
 */
function changeOne(root, random) {
  const places = placesIn(root);
  if (places.length === 0) return;
  const { parent, key } = random.pick(places);
  const other = random.pick(places);
  const ways = [
    () => set(parent, key, random.pick(JUNK)),
    () => set(parent, key, random.below(2) === 0 ? [] : {}),
    () => set(parent, key, JSON.parse(JSON.stringify(other.parent[other.key] ?? null))),
    () => set(parent, key, [parent[key], parent[key]]),
    () => void (Array.isArray(parent) ? parent.splice(Number(key), 1) : delete parent[key]),
    () => void (Array.isArray(parent) ? parent.push(parent[key]) : set(parent, `${key}_`, parent[key])),
    () => void (Array.isArray(parent) ? parent.reverse() : set(parent, String(random.pick(JUNK)), parent[key])),
  ];
  random.pick(ways)();
}

/** @param {Record<string, unknown>} parent @param {string} key @param {unknown} value */
function set(parent, key, value) {
  parent[key] = value;
}

/**
 * Every place in a JSON value: an object or list, and one of its keys.
 *
 * @param {unknown} root
 */
function placesIn(root) {
  /** @type {{ parent: Record<string, unknown>, key: string }[]} */
  const places = [];
  const open = [root];
  while (open.length > 0) {
    const parent = open.pop();
    if (typeof parent !== "object" || parent === null) continue;
    for (const [key, value] of Object.entries(parent)) {
      places.push({ parent: /** @type {Record<string, unknown>} */ (parent), key });
      open.push(value);
    }
  }
  return places;
}
