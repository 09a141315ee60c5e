import { EventEmitter } from "node:events";

/** Streams that record their output, signals that the test sends, and an exit that only records its code. */
export function fakeIo({ env = {} as Record<string, string>, columns = 80 } = {}) {
  const text = { out: "", err: "" };
  const signals = new EventEmitter();
  const exits: number[] = [];
  const io = {
    stdout: { write: (part: string) => (text.out += part), columns },
    stderr: { write: (part: string) => (text.err += part) },
    env,
    signals,
    exit: (code: number) => exits.push(code),
  };
  return { io, text, signals, exits };
}
