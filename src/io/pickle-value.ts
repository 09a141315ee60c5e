/** The values that a pickle can produce here: plain data without behaviour. Bytes, sets and the like are Opaque. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | Tuple
  | Opaque;

export class Tuple {
  readonly items: readonly PickleValue[];
  constructor(items: readonly PickleValue[]) {
    this.items = items;
  }
}

/** A value whose contents are not used. `kind` describes it in messages. */
export class Opaque {
  readonly kind: string;
  constructor(kind: string) {
    this.kind = kind;
  }
}

/**
 * A function on the allow-list. Its time and memory must be proportional to its result, so that a hostile file cannot
 * exhaust them.
 */
export class Callable extends Opaque {
  readonly call: (args: readonly PickleValue[]) => PickleValue;
  constructor(name: string, call: (args: readonly PickleValue[]) => PickleValue) {
    super(name);
    this.call = call;
  }
}

/** The name of an unknown class or function. It is never looked up; "calling" it makes a `ForeignObject`. */
export class ForeignName extends Opaque {}

/** The placeholder for an object that an unknown class or function would have made in Python. It has no contents. */
export class ForeignObject extends Opaque {
  /** The dotted name of the class or function. */
  readonly madeBy: string;
  /** Whether it is a pickled torch.nn module. */
  isModule = false;
  constructor(madeBy: string) {
    super(`an object of ${madeBy}`);
    this.madeBy = madeBy;
  }
}

export function describePickled(value: PickleValue | undefined): string {
  if (value === null || value === undefined) return "None";
  if (Array.isArray(value)) return "a list";
  if (value instanceof Map) return "a dict";
  if (value instanceof Tuple) return "a tuple";
  if (value instanceof Opaque) return value.kind;
  return typeof value === "bigint" ? "a number" : `a ${typeof value}`;
}

/**
 * Python modules that can run programs, open files or connections, or build functions. They are never called here, but
 * a file that names one was probably made to do harm, so the whole file is refused.
 *
 * Source: the list of unsafe globals of picklescan 0.0.30, and torch.hub, torch.utils and the like.
 */
const UNSAFE_MODULES = new Set(
  [
    "os posix nt posixpath ntpath sys subprocess commands popen2 pty shutil tempfile io _io codecs fileinput",
    "runpy importlib imp pkgutil zipimport code codeop types ctypes _ctypes cffi gc inspect ast dis",
    "pickle _pickle cPickle dill cloudpickle joblib marshal shelve copyreg copy_reg",
    "operator _operator socket ssl http httplib urllib urllib2 requests ftplib smtplib telnetlib webbrowser aiohttp",
    "asyncio threading _thread multiprocessing concurrent signal pdb bdb timeit cProfile profile trace doctest idlelib",
    "pip ensurepip venv distutils setuptools pydoc platform builtins __builtin__ __builtins__ lib2to3",
  ].flatMap((line) => line.split(" ")),
);

/** Python builtins that are plain data. */
const PLAIN_BUILTINS = new Set(
  "object type int long float complex bool str unicode bytes bytearray list tuple dict set frozenset slice range xrange".split(
    " ",
  ),
);

/** Parts of libraries, otherwise common in checkpoints, that load or run what they are given. */
const UNSAFE_PREFIXES = [
  ..."torch.hub torch.utils.cpp_extension torch.utils.model_zoo torch.utils.collect_env torch.utils.bottleneck torch.jit torch.serialization torch.package torch.ops torch.distributed torch.load".split(
    " ",
  ),
  ..."torch.storage._load_from_bytes numpy.testing numpy.f2py numpy.load numpy.lib numpy.ctypeslib numpy.distutils".split(
    " ",
  ),
];

/** Classes of plain data in modules that are otherwise unsafe. */
const PLAIN_NAMES = new Set(["types.SimpleNamespace", "types.MappingProxyType", "io.BytesIO", "_io.BytesIO"]);

/**
 * Whether a pickle may contain an object of this class, or a value of this function, in addition to the weights. The
 * object becomes a placeholder without contents, and the name is not looked up.
 */
export function mayNameData(module: string, name: string): boolean {
  const [package_ = ""] = module.split(".");
  if (!/^[\w.<>]+$/.test(module) || !/^[\w.<>]+$/.test(name) || /^(?:__)?proto__$|^constructor$/.test(module))
    return false;
  if (package_ === "builtins" || package_ === "__builtin__") return module === package_ && PLAIN_BUILTINS.has(name);
  const full = `${module}.${name}`;
  if (PLAIN_NAMES.has(full)) return true;
  return !UNSAFE_MODULES.has(package_) && !UNSAFE_PREFIXES.some((prefix) => `${full}.`.startsWith(`${prefix}.`));
}
