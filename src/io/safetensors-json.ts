/** The entry of one tensor in the header. Only its syntax has been checked. */
export interface RawEntry {
  dtype: string;
  shape: number[];
  offsets: number[];
}

export interface RawHeader {
  metadata: Map<string, string>;
  tensors: Map<string, RawEntry>;
}

/**
 * Parses the JSON of a safetensors header. JSON.parse is not safe for hostile input: it hides duplicate names, rounds
 * large integers, accepts fractions as sizes, and can exhaust the heap on nested brackets before anything is checked.
 */
export function scanHeader(text: string, fail: (problem: string) => never): RawHeader {
  const scanner = new Scanner(text, fail);
  const header: RawHeader = { metadata: new Map(), tensors: new Map() };
  scanner.object("the header", (name) => {
    if (name === "__metadata__") {
      scanner.object(name, (key) => header.metadata.set(key, scanner.string()));
    } else {
      header.tensors.set(name, scanEntry(scanner, name));
    }
  });
  scanner.end();
  return header;
}

function scanEntry(scanner: Scanner, name: string): RawEntry {
  const entry: Partial<RawEntry> = {};
  scanner.object(`tensor ${quote(name)}`, (field) => {
    if (field === "dtype") entry.dtype = scanner.string();
    else if (field === "shape") entry.shape = scanner.integers();
    else if (field === "data_offsets") entry.offsets = scanner.integers();
    else scanner.fail(`tensor ${quote(name)} has the unknown field ${quote(field)}`);
  });
  const { dtype, shape, offsets } = entry;
  if (dtype === undefined || shape === undefined || offsets === undefined) {
    return scanner.fail(`tensor ${quote(name)} needs the fields dtype, shape and data_offsets`);
  }
  return { dtype, shape, offsets };
}

/** Quotes a name for a message, and truncates a long one. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}

const DIGITS_OF_A_SAFE_INTEGER = 16;

class Scanner {
  readonly text: string;
  readonly fail: (problem: string) => never;
  position = 0;

  constructor(text: string, fail: (problem: string) => never) {
    this.text = text;
    this.fail = fail;
  }

  object(what: string, field: (key: string) => void): void {
    const seen = new Set<string>();
    this.expect("{");
    if (this.accept("}")) return;
    do {
      const key = this.string();
      if (seen.has(key)) this.fail(`${what} has the name ${quote(key)} twice`);
      seen.add(key);
      this.expect(":");
      field(key);
    } while (this.accept(","));
    this.expect("}");
  }

  integers(): number[] {
    const numbers: number[] = [];
    this.expect("[");
    if (this.accept("]")) return numbers;
    do numbers.push(this.integer());
    while (this.accept(","));
    this.expect("]");
    return numbers;
  }

  string(): string {
    this.skipSpace();
    if (this.text[this.position] !== '"') this.unexpected("a string");
    const start = this.position;
    let end = start + 1;
    while (end < this.text.length && this.text[end] !== '"') end += this.text[end] === "\\" ? 2 : 1;
    this.position = end + 1;
    try {
      return JSON.parse(this.text.slice(start, end + 1)) as string;
    } catch {
      this.position = start;
      return this.unexpected("a string");
    }
  }

  /** Fails unless only white space follows. */
  end(): void {
    this.skipSpace();
    if (this.position < this.text.length) this.unexpected("the end");
  }

  private integer(): number {
    this.skipSpace();
    const start = this.position;
    let end = start;
    while (isDigit(this.text[end])) end++;
    const value = Number(this.text.slice(start, Math.min(end, start + DIGITS_OF_A_SAFE_INTEGER + 1)));
    const leadingZero = this.text[start] === "0" && end > start + 1;
    if (end === start || leadingZero || !Number.isSafeInteger(value) || /[.eE]/.test(this.text[end] ?? "")) {
      this.unexpected("an integer from 0 to 2^53 - 1");
    }
    this.position = end;
    return value;
  }

  private expect(character: string): void {
    if (!this.accept(character)) this.unexpected(`"${character}"`);
  }

  private accept(character: string): boolean {
    this.skipSpace();
    if (this.text[this.position] !== character) return false;
    this.position++;
    return true;
  }

  private skipSpace(): void {
    while (isSpace(this.text[this.position])) this.position++;
  }

  private unexpected(expected: string): never {
    const found = this.text.slice(this.position, this.position + 20);
    const got = found === "" ? "its end" : JSON.stringify(found);
    return this.fail(`expected ${expected} at character ${this.position} of the header, got ${got}`);
  }
}

function isDigit(character: string | undefined): boolean {
  return character !== undefined && character >= "0" && character <= "9";
}

function isSpace(character: string | undefined): boolean {
  return character === " " || character === "\t" || character === "\n" || character === "\r";
}
