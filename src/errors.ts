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

export interface BatchCamErrorOptions extends ErrorOptions {
  /** The options that the message speaks of, by the names that a program gives them: "lr", "camLayer". */
  options?: readonly string[] | undefined;
}

/** A function, a class or a method before the first colon: "loadDataset", "SGD.loadState"; no path has this form with a colon behind it. */
const OPERATION = /^(?:[a-z]\w*|[A-Z]\w*(?:\.[a-z]\w*)?)(?=: )/;

/** The one error class of the project: the message names the operation, the argument, what was expected, what came, and what to do. */
export class BatchCamError extends Error {
  readonly code: ErrorCode;
  /** The function, the method or the option that the message begins with, "loadDataset" of "loadDataset: name must be ..."; else undefined. */
  readonly operation: string | undefined;
  /** The options that the message speaks of and that its words alone do not tell from plain English, "lr". */
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
