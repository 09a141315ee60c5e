import { counted } from "../counted.ts";
import { CONVERT } from "./foreign-formats.ts";
import { PickleMachine, type UnpicklerOptions } from "./pickle-machine.ts";
import { PickleReader } from "./pickle-reader.ts";
import {
  Callable,
  describePickled,
  ForeignName,
  ForeignObject,
  Opaque,
  type PickleValue,
  Tuple,
} from "./pickle-value.ts";
import { quote } from "./safetensors-json.ts";

/**
 * Interprets a pickle of protocol 2 to 5 on a machine that can only build plain data. It knows the opcodes that
 * Python's pickler writes for such data, and names are looked up only in the options. Names that `isData` allows become
 * placeholders without contents. Time and memory are proportional to the length of `bytes`.
 *
 * Source: Lib/pickletools.py of Python 3.11; torch/_weights_only_unpickler.py of PyTorch 2.11 for what torch allows.
 */
export function unpickle(bytes: Uint8Array, options: UnpicklerOptions): PickleValue {
  return unpickleNext(new PickleReader(bytes, options.fail), options);
}

/** Interprets the pickle at the position of the reader, and leaves the reader after its end. */
export function unpickleNext(reader: PickleReader, options: UnpicklerOptions): PickleValue {
  const machine = new PickleMachine(reader, options);
  machine.expectProtocol();
  for (;;) {
    const { position } = reader;
    const opcode = reader.u8();
    if (opcode === STOP) return machine.pop();
    const step = STEPS.get(opcode);
    if (step === undefined) machine.refuseOpcode(opcode, position);
    else step(machine);
  }
}

const STOP = 0x2e;

type Step = (machine: PickleMachine) => void;
const code = (character: string) => character.charCodeAt(0);

const STEPS: ReadonlyMap<number, Step> = new Map<number, Step>([
  [0x95, (m) => m.reader.frame()],
  [code("("), (m) => m.mark()],
  [code("0"), (m) => m.drop()],
  [code("1"), (m) => void m.popToMark()],
  // plain values
  [code("N"), (m) => m.push(null)],
  [0x88, (m) => m.push(true)],
  [0x89, (m) => m.push(false)],
  [code("K"), (m) => m.push(m.reader.u8())],
  [code("M"), (m) => m.push(m.reader.u16())],
  [code("J"), (m) => m.push(m.reader.i32())],
  [code("G"), (m) => m.push(m.reader.f64())],
  [0x8a, (m) => m.push(m.reader.long(m.reader.u8()))],
  [0x8b, pushLongLong],
  [0x8c, (m) => m.push(m.reader.text(m.reader.u8()))],
  [code("X"), (m) => m.push(m.reader.text(m.reader.u32()))],
  [0x8d, (m) => m.push(m.reader.text(m.reader.u64()))],
  [code("U"), (m) => pushByteString(m, m.reader.u8())],
  [code("T"), (m) => pushByteString(m, m.reader.u32())],
  [code("C"), (m) => pushBytes(m, m.reader.u8())],
  [code("B"), (m) => pushBytes(m, m.reader.u32())],
  [0x8e, (m) => pushBytes(m, m.reader.u64())],
  [0x96, (m) => pushBytes(m, m.reader.u64())],
  // containers
  [code(")"), (m) => m.pushContainer(new Tuple([]))],
  [0x85, (m) => m.pushContainer(new Tuple(m.popItems(1)))],
  [0x86, (m) => m.pushContainer(new Tuple(m.popItems(2)))],
  [0x87, (m) => m.pushContainer(new Tuple(m.popItems(3)))],
  [code("t"), (m) => m.pushContainer(new Tuple(m.popToMark()))],
  [code("]"), (m) => m.pushContainer([])],
  [code("a"), (m) => append(m, m.popItems(1))],
  [code("e"), (m) => append(m, m.popToMark())],
  [code("}"), (m) => m.pushContainer(new Map())],
  [code("s"), (m) => setItems(m, m.popItems(2))],
  [code("u"), (m) => setItems(m, m.popToMark())],
  [0x8f, (m) => m.push(SET)],
  [0x90, addItems],
  [0x91, pushFrozenSet],
  // memo
  [code("q"), (m) => m.memoize(m.reader.u8())],
  [code("r"), (m) => m.memoize(m.reader.u32())],
  [0x94, (m) => m.memoize()],
  [code("h"), (m) => m.recall(m.reader.u8())],
  [code("j"), (m) => m.recall(m.reader.u32())],
  // names, and objects that are made with them
  [code("c"), (m) => pushGlobal(m, m.reader.line(), m.reader.line())],
  [0x93, (m) => pushGlobal(m, ...(m.popItems(2) as [PickleValue, PickleValue]))],
  [code("Q"), (m) => m.pushContainer(m.options.persistentLoad(m.pop()))],
  [code("R"), reduce],
  [0x81, newObject],
  [0x92, newObjectWithKeywords],
  [code("b"), build],
]);

const SET = new Opaque("a set");
const BYTES = new Opaque("bytes");

/** Skips bytes, because no name or position of a tensor is stored as bytes. */
function pushBytes(machine: PickleMachine, length: number): void {
  machine.reader.take(length);
  machine.push(BYTES);
}

const UTF8 = new TextDecoder("utf-8", { fatal: true });

/** Pushes a string of Python 2, which may be text or bytes. */
function pushByteString(machine: PickleMachine, length: number): void {
  const bytes = machine.reader.take(length);
  try {
    machine.push(UTF8.decode(bytes));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    machine.push(BYTES);
  }
}

/**
 * Longest number that is read, more than any checkpoint needs. The limit is needed because reading a number of n bytes
 * takes O(n²) time.
 */
const MAX_LONG_BYTES = 1024;

function pushLongLong(machine: PickleMachine): void {
  const length = machine.reader.u32();
  if (length > MAX_LONG_BYTES) machine.fail(`has a number of ${counted(length, "byte")}`);
  machine.push(machine.reader.long(length));
}

/** Appends to a list. Items of a placeholder are ignored. */
function append(machine: PickleMachine, items: readonly PickleValue[]): void {
  const list = machine.top();
  if (list instanceof ForeignObject) return;
  if (!Array.isArray(list)) machine.fail(`appends to ${describePickled(list)}, which is not a list`);
  for (const item of items) list.push(item);
}

function setItems(machine: PickleMachine, items: readonly PickleValue[]): void {
  const dict = machine.top();
  if (dict instanceof ForeignObject) return;
  if (!(dict instanceof Map)) machine.fail(`sets items of ${describePickled(dict)}, which is not a dict`);
  if (items.length % 2 === 1) machine.fail("sets a key without a value");
  for (let i = 0; i < items.length; i += 2) {
    const key = items[i] as PickleValue;
    if (Array.isArray(key) || key instanceof Map) machine.fail(`has ${describePickled(key)} as a dict's key`);
    dict.set(key, items[i + 1] as PickleValue);
  }
}

function pushFrozenSet(machine: PickleMachine): void {
  machine.popToMark();
  machine.push(SET);
}

function addItems(machine: PickleMachine): void {
  machine.popToMark();
  const set = machine.top();
  if (set !== SET && !(set instanceof ForeignObject))
    machine.fail(`adds items to ${describePickled(set)}, which is not a set`);
}

function pushGlobal(machine: PickleMachine, module: PickleValue, name: PickleValue): void {
  if (typeof module !== "string" || typeof name !== "string")
    machine.fail("names a global with values that are not strings");
  const { globals, isData, fail } = machine.options;
  const full = `${module}.${name}`;
  const found = globals.get(full) ?? (isData?.(module, name) ? new ForeignName(full) : undefined);
  if (found !== undefined) machine.push(found);
  else {
    const problem = `data.pkl asks for ${quote(full)}, which tensors do not need and which may run a program`;
    fail(`${problem}: nothing was run`, CONVERT);
  }
}

function reduce(machine: PickleMachine): void {
  const [callable, args] = machine.popItems(2);
  const isForeign = callable instanceof ForeignName;
  if (!isForeign && !(callable instanceof Callable)) machine.fail(`calls ${describePickled(callable)}`);
  if (!(args instanceof Tuple)) machine.fail(`calls ${callable.kind} with ${describePickled(args)}`);
  machine.pushContainer(isForeign ? new ForeignObject(callable.kind) : callable.call(args.items));
}

/** The opcode for `cls.__new__(cls, *args)`, which equals a call for all known names. */
function newObject(machine: PickleMachine): void {
  reduce(machine);
}

function newObjectWithKeywords(machine: PickleMachine): void {
  machine.pop();
  reduce(machine);
}

/**
 * Sets attributes of an object. Attributes of a dict, such as the `_metadata` that torch.nn adds to a state dict, are
 * ignored.
 */
function build(machine: PickleMachine): void {
  const state = machine.pop();
  const target = machine.top();
  if (target instanceof ForeignObject) target.isModule ||= isModuleState(state);
  else if (!(target instanceof Map)) machine.fail(`sets attributes of ${describePickled(target)}`);
}

function isModuleState(state: PickleValue): boolean {
  return state instanceof Map && state.has("_parameters") && state.has("_modules");
}
