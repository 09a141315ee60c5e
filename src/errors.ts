/** Stable error codes that programs can test. The message is for people. */
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

export interface BatchCamErrorOptions extends ErrorOptions {
  /** Names of the options that the message mentions, as a program writes them: "lr", "camLayer". */
  options?: readonly string[] | undefined;
}

/**
 * Matches the operation before the first colon of a message, such as "loadDataset" or "SGD.loadState". A path followed
 * by a colon does not match.
 */
const OPERATION = /^(?:[a-z]\w*|[A-Z]\w*(?:\.[a-z]\w*)?)(?=: )/;

/**
 * The error class of the project. A message names the operation, the argument, what was expected, what was given, and a
 * remedy.
 */
export class BatchCamError extends Error {
  readonly code: ErrorCode;
  /** The operation at the start of the message: "loadDataset" in "loadDataset: name must be ..."; undefined if there is none. */
  readonly operation: string | undefined;
  /** Names of options that the message mentions and that could be mistaken for plain words, such as "lr". */
  readonly options: readonly string[];

  constructor(code: ErrorCode, message: string, { options = [], ...rest }: BatchCamErrorOptions = {}) {
    super(message, rest);
    this.name = "BatchCamError";
    this.code = code;
    this.operation = OPERATION.exec(message)?.[0];
    this.options = options;
  }

  /** The message without the operation. */
  get detail(): string {
    return this.operation === undefined ? this.message : this.message.slice(this.operation.length + 2);
  }
}
