import type { ErrorCode } from "../errors.ts";

/**
 * The only place that reads libtorch's messages. libtorch reports most mistakes as a plain c10::Error. Only its sentence says whether a
 * shape or dtype is wrong, which is the caller's mistake, or the engine failed. Mistakes that have an exception of their own, or that the
 * addon can check, do not get here (see native-error.ts).
 *
 * Each pattern has a call of a real operator in libtorch-sentences.test.ts that no other pattern matches, so that a test fails if a new
 * libtorch words it differently. The first pattern that matches counts: sentences about a dtype often mention a shape, too.
 */
export const SENTENCES: readonly (readonly [ErrorCode, RegExp])[] = [
  ["E_DTYPE", /dtype/i],
  ["E_DTYPE", /scalar type/i],
  ["E_DTYPE", /ScalarType/],
  ["E_DTYPE", /can't be cast/i],
  ["E_DTYPE", /not implemented for '/i],
  ["E_DTYPE", /input type/i],
  ["E_DTYPE", /LongTensor/],
  ["E_DTYPE", /boolean tensor/i],
  ["E_SHAPE", /size/i],
  ["E_SHAPE", /shape/i],
  ["E_SHAPE", /dimension/i],
  ["E_SHAPE", /\bdims?\b/i],
  ["E_SHAPE", /\dD tensor/i],
  ["E_SHAPE", /number of channels/i],
  ["E_SHAPE", /out of range/i],
  ["E_SHAPE", /expected \d/i],
  ["E_SHAPE", /at least \d/i],
  ["E_SHAPE", /elements not/i],
];

/** The call that the addon puts before a sentence: "add(self Float[2, 3], other Float[4]): ". */
const CALL = /^\w+\([^()]*\): /;

/** The code of a message. Words in the names of an operator and its arguments do not count. */
export function codeOfSentence(message: string, sentences = SENTENCES): ErrorCode {
  const sentence = message.replace(CALL, "");
  return sentences.find(([, pattern]) => pattern.test(sentence))?.[0] ?? "E_NATIVE";
}

/**
 * Whether a backward pass found that an operator had overwritten a value that it needs. libtorch compares the versions of saved tensors in
 * its nodes, whose fields the addon cannot read.
 */
export const saysOverwritten = (sentence: string): boolean => /modified by an inplace operation/.test(sentence);

/** The operator whose result was overwritten: "Relu" of "[...], which is output 0 of ReluBackward0, is at version 1; expected ...". */
export const operatorOverwritten = (sentence: string): string | undefined =>
  /output \d+ of (\w+?)(?:Backward\d*)?,/.exec(sentence)?.[1];
