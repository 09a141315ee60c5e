/** An event of a TensorBoard file, with the fields that tests read. */
export interface Decoded {
  wallTime: number;
  step: number;
  fileVersion?: string;
  sessionStart?: boolean;
  values: {
    tag: string;
    scalar?: number;
    image?: { height: number; width: number; png: Buffer };
    plugin?: string;
    text?: string;
  }[];
}

type Fields = Map<number, (number | Buffer)[]>;

/** The fields of a protobuf message by number: varints as numbers, all others as their bytes. */
function fieldsOf(bytes: Buffer): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] as number;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  const take = (length: number) => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const key = varint();
    const wire = key & 7;
    const value = wire === 0 ? varint() : take(wire === 1 ? 8 : wire === 5 ? 4 : varint());
    fields.set(key >>> 3, [...(fields.get(key >>> 3) ?? []), value]);
  }
  return fields;
}

const bytesIn = (fields: Fields, number: number): Buffer[] => (fields.get(number) ?? []) as Buffer[];
const numberIn = (fields: Fields, number: number): number => (fields.get(number)?.[0] ?? 0) as number;

/** Reads every event of a file. It is written from TensorFlow's .proto files, independently of the writer. */
export function readEvents(file: Buffer): Decoded[] {
  const events: Decoded[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    events.push(eventOf(fieldsOf(file.subarray(at + 12, at + 12 + length))));
    at += length + 16;
  }
  return events;
}

function eventOf(fields: Fields): Decoded {
  const [version] = bytesIn(fields, 3);
  const [session] = bytesIn(fields, 7);
  return {
    wallTime: bytesIn(fields, 1)[0]?.readDoubleLE() ?? 0,
    step: numberIn(fields, 2),
    ...(version === undefined ? {} : { fileVersion: version.toString() }),
    ...(session === undefined ? {} : { sessionStart: numberIn(fieldsOf(session), 1) === 1 }),
    values: bytesIn(fields, 5).flatMap((summary) =>
      bytesIn(fieldsOf(summary), 1).map((value) => valueIn(fieldsOf(value))),
    ),
  };
}

function valueIn(fields: Fields): Decoded["values"][number] {
  const [scalar, image, tensor, metadata] = [2, 4, 8, 9].map((number) => bytesIn(fields, number)[0]);
  const picture = image && fieldsOf(image);
  const plugin = metadata && bytesIn(fieldsOf(bytesIn(fieldsOf(metadata), 1)[0] as Buffer), 1)[0];
  const text = tensor && bytesIn(fieldsOf(tensor), 8)[0];
  return {
    tag: (bytesIn(fields, 1)[0] as Buffer).toString(),
    ...(scalar && { scalar: scalar.readFloatLE() }),
    ...(picture && {
      image: { height: numberIn(picture, 1), width: numberIn(picture, 2), png: bytesIn(picture, 4)[0] as Buffer },
    }),
    ...(plugin && { plugin: plugin.toString() }),
    ...(text && { text: text.toString() }),
  };
}
