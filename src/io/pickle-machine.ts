import type { PickleReader } from "./pickle-reader.ts";
import type { Opaque, PickleValue } from "./pickle-value.ts";
import type { Fail } from "./tensor-file.ts";

export interface UnpicklerOptions {
  /** The names that a pickle may use, as "module.name", with their values. Only a Callable can be called. */
  readonly globals: ReadonlyMap<string, Opaque>;
  /** Whether any other name is allowed as a placeholder for data that is ignored; by default none is. */
  readonly isData?: (module: string, name: string) => boolean;
  /** Resolves a persistent id. torch.save uses these to refer to storages. */
  readonly persistentLoad: (id: PickleValue) => PickleValue;
  readonly fail: Fail;
}

/**
 * Limit on the number of objects that a pickle can make. One-byte opcodes could otherwise make very many. A state dict
 * of 100,000 tensors stays below it.
 */
const MAX_OBJECTS = 2 ** 20;

const PROTO = 0x80;

/** The state of a pickle that is interpreted: its stack with marks, and its memo. It fails above the limits. */
export class PickleMachine {
  readonly reader: PickleReader;
  readonly options: UnpicklerOptions;
  private readonly stack: PickleValue[] = [];
  /** The height of the stack at each mark. */
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, PickleValue>();
  private containers = 0;

  constructor(reader: PickleReader, options: UnpicklerOptions) {
    this.reader = reader;
    this.options = options;
  }

  push(value: PickleValue): void {
    this.stack.push(value);
    this.expectBelow(this.stack.length, "values on its stack");
  }

  /** Pushes a value that takes memory of its own, and counts it towards the limit. */
  pushContainer(value: PickleValue): void {
    this.expectBelow(++this.containers, "containers");
    this.push(value);
  }

  pop(): PickleValue {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) this.fail("takes a value from an empty stack");
    return this.stack.pop() as PickleValue;
  }

  top(): PickleValue {
    const value = this.pop();
    this.stack.push(value);
    return value;
  }

  popItems(count: number): PickleValue[] {
    return Array.from({ length: count }, () => this.pop()).reverse();
  }

  mark(): void {
    this.marks.push(this.stack.length);
    this.expectBelow(this.marks.length, "marks");
  }

  popToMark(): PickleValue[] {
    const height = this.marks.pop();
    if (height === undefined) return this.fail("ends a mark that it did not set");
    return this.stack.splice(height);
  }

  /** The opcode POP, which removes a mark if one is on top. */
  drop(): void {
    if (this.marks.at(-1) === this.stack.length) this.marks.pop();
    else this.pop();
  }

  memoize(index = this.memo.size): void {
    this.memo.set(index, this.top());
    this.expectBelow(this.memo.size, "memo entries");
  }

  recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) this.fail(`recalls the memo ${index}, which it did not set`);
    else this.push(value);
  }

  fail(problem: string): never {
    return this.options.fail(`data.pkl ${problem} (near byte ${this.reader.position})`);
  }

  expectProtocol(): void {
    const [opcode, protocol] = [this.reader.u8(), this.reader.u8()];
    if (opcode !== PROTO || protocol < 2 || protocol > 5) this.fail("is not a pickle of protocol 2 to 5");
  }

  private expectBelow(count: number, what: string): void {
    if (count > MAX_OBJECTS) this.fail(`has more than ${MAX_OBJECTS} ${what}`);
  }

  refuseOpcode(opcode: number, position: number): never {
    const got = `0x${opcode.toString(16).padStart(2, "0")}`;
    return this.options.fail(`data.pkl has the opcode ${got} at byte ${position}, which torch.save does not write`);
  }
}
