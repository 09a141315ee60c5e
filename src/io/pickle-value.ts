/** What a pickle can make here: plain data, and nothing with behaviour. Bytes, sets and the like are Opaque. */
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

/** A value that no one looks into; `kind` names it in messages. */
export class Opaque {
  readonly kind: string;
  constructor(kind: string) {
    this.kind = kind;
  }
}

/** A function of the allow-list. It must take time and memory in proportion to nothing but its own result. */
export class Callable extends Opaque {
  readonly call: (args: readonly PickleValue[]) => PickleValue;
  constructor(name: string, call: (args: readonly PickleValue[]) => PickleValue) {
    super(name);
    this.call = call;
  }
}

/** A class or function that is not known here. It is never looked up; "calling" it makes a `ForeignObject`. */
export class ForeignName extends Opaque {}

/** What a class or function that is not known here would have made in Python: data beside the weights, never looked into. */
export class ForeignObject extends Opaque {
  /** The dotted name of the class or function. */
  readonly madeBy: string;
  /** Whether it is a network of torch.nn, pickled whole. */
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
 * Modules of Python that run programs, open files or connections, or build functions. Nothing here ever calls them, but a
 * file that asks for one was made to do harm, so it is refused as a whole.
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

/** Classes of plain data among Python's builtins. */
const PLAIN_BUILTINS = new Set(
  "object type int long float complex bool str unicode bytes bytearray list tuple dict set frozenset slice range xrange".split(
    " ",
  ),
);

/** Parts of libraries that checkpoints name, which load or run what they are given. */
const UNSAFE_PREFIXES = [
  ..."torch.hub torch.utils.cpp_extension torch.utils.model_zoo torch.utils.collect_env torch.utils.bottleneck torch.jit torch.serialization torch.package torch.ops torch.distributed torch.load".split(
    " ",
  ),
  ..."torch.storage._load_from_bytes numpy.testing numpy.f2py numpy.load numpy.lib numpy.ctypeslib numpy.distutils".split(
    " ",
  ),
];

/** Plain data in modules that are unsafe otherwise. */
const PLAIN_NAMES = new Set(["types.SimpleNamespace", "types.MappingProxyType", "io.BytesIO", "_io.BytesIO"]);

/**
 * Whether a pickle may have an object of this class, or a value of this function, beside its weights. It becomes an object
 * without contents, and the name is not looked up.
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
