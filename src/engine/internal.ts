// Names that other folders of the project use. This is not an entry of the package.
export { native } from "./addon.ts";
export { cpuFeatures, usableCores } from "./capability.ts";
export {
  arena,
  boolean,
  check,
  float,
  type Handle,
  inPlaceCalls,
  integer,
  integers,
  intern,
  listOf,
  operator,
  optionalFloat,
  optionalInteger,
  optionalIntegers,
  putLength,
  putList,
  putOptionalList,
  putOptionalScalar,
  putScalar,
  run,
  runInPlace,
  runList,
  runNumber,
  runTuple,
  runWriting,
  type Scalar,
  string,
} from "./dispatch.ts";
export { explained, type FailureKind, failureKind, overwrittenOperator } from "./native-error.ts";
export {
  type CallArgument,
  findOperator,
  type OperatorSchema,
  type SchemaArgument,
  type SchemaType,
} from "./schema.ts";
export { type KernelLevel, switchValue } from "./switches.ts";
