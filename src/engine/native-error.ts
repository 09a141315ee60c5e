import { BatchCamError, type ErrorCode } from "../errors.ts";
import { native } from "./addon.ts";
import { codeOfSentence, operatorOverwritten, saysOverwritten } from "./libtorch-sentences.ts";

/**
 * The kinds of failure that the addon reports (native/binding/engine.cc names them), and their codes. The first half are its own checks,
 * the second half the types of libtorch's exceptions. Null means that the kind alone does not tell, so that the sentence is read:
 * libtorch uses ValueError for a batch of the wrong size as well as for a negative probability.
 */
const CODES = {
  shape: "E_SHAPE",
  dtype: "E_DTYPE",
  disposed: "E_DISPOSED",
  /** A gradient is asked for that does not exist, because the outputs do not depend on the input. */
  unused: "E_NATIVE",
  /** Autograd does not let an operator write to its argument. */
  "refused write": "E_NATIVE",
  /** The same, because the argument is a view that was made while nothing was recorded. */
  "no-grad view": "E_NATIVE",
  other: "E_NATIVE",

  index: "E_SHAPE",
  type: "E_DTYPE",
  "linear algebra": "E_NATIVE",
  memory: "E_NATIVE",
  value: null,
  "not implemented": null,
  sentence: null,
} satisfies Record<string, ErrorCode | null>;

/** "overwritten": a backward pass found that an operator had overwritten a value that it needs. */
export type FailureKind = keyof typeof CODES | "overwritten";

/** A failure of the engine. Its kind says more than its code, for callers that try something else. */
class NativeError extends BatchCamError {
  readonly kind: FailureKind;

  constructor(code: ErrorCode, message: string, kind: FailureKind, options: ErrorOptions = {}) {
    super(code, message, options);
    this.kind = kind;
  }
}

/** The error of the call that has just failed. `operation` is put before its message. */
export function lastNativeError(operation?: string): BatchCamError {
  const text = native.lastError();
  const kind = native.lastErrorKind() as keyof typeof CODES;
  const message = operation === undefined ? text : `${operation}: ${text}`;
  if (kind === "sentence" && saysOverwritten(text)) return new NativeError("E_NATIVE", message, "overwritten");
  return new NativeError(CODES[kind] ?? codeOfSentence(text), message, kind);
}

/** An error that says more about another one, and is still recognised as the same failure if that one is. */
export function explained(cause: BatchCamError, code: ErrorCode, message: string): BatchCamError {
  return cause instanceof NativeError
    ? new NativeError(code, message, cause.kind, { cause })
    : new BatchCamError(code, message, { cause });
}

/** The native failure that an error is, or that a caller's own error was thrown for; undefined if there is none. */
function failureIn(error: unknown): NativeError | undefined {
  let each = error;
  while (each instanceof Error && !(each instanceof BatchCamError)) each = each.cause;
  return each instanceof NativeError ? each : undefined;
}

/** The kind of the native failure behind an error; undefined if it has another reason. */
export const failureKind = (error: unknown): FailureKind | undefined => failureIn(error)?.kind;

/** The operator whose result was overwritten, as in "Relu", if the failure is "overwritten" and names one. */
export const overwrittenOperator = (error: unknown): string | undefined =>
  operatorOverwritten(failureIn(error)?.message ?? "");
