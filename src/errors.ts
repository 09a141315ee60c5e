/** Stable codes that a program may switch on; the message is for people. */
export type ErrorCode =
  | "E_SHAPE"
  | "E_DTYPE"
  | "E_ARGUMENT"
  | "E_DISPOSED"
  | "E_CONFIG"
  | "E_DATA"
  | "E_CHECKPOINT"
  | "E_IO"
  | "E_NUMERIC"
  | "E_NATIVE";

/** The one error class of the project: the message names the operation, the argument, what was expected, what came, and what to do. */
export class BatchCamError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "BatchCamError";
    this.code = code;
  }
}
