import { describeValue } from "../../arguments.ts";
import { hint, numberIn } from "../../config/internal.ts";
import { BatchCamError } from "../../errors.ts";

/** An error about a grid's file or flags. */
export function gridFault(message: string): BatchCamError {
  return new BatchCamError("E_CONFIG", `compare: ${message}`);
}

/** The items of a list: an array, or a text separated by commas. It needs at least one item and must not repeat any. */
function itemsOf(list: string, value: unknown): unknown[] {
  const items = typeof value === "string" ? value.split(",").map((item) => item.trim()) : value;
  if (!Array.isArray(items)) throw gridFault(`${list} must be a list, got ${describeValue(value)}`);
  if (items.length === 0) throw gridFault(`${list} must have at least one item, got an empty list`);
  return items;
}

/** The rows of a list, each with its position in messages: `models, row 2`. */
export function rowsOf(list: string, value: unknown): { what: string; row: unknown }[] {
  return itemsOf(list, value).map((row, index) => ({ what: `${list}, row ${index + 1}`, row }));
}

/** Reads a list of names, each of which must be known. */
export function knownNames<T extends string>(list: string, value: unknown, known: readonly T[]): T[] {
  const names = itemsOf(list, value).map((item) => {
    if (known.includes(item as T)) return item as T;
    const misspelt = typeof item === "string" ? hint(item, known) : "";
    throw gridFault(
      `${list} must be one of ${known.map(describeValue).join(", ")}, got ${describeValue(item)}${misspelt}`,
    );
  });
  return unlike(list, names);
}

/** Reads a list of numbers for which `holds` is true; `rule` says that in words. */
export function numbersOf(list: string, value: unknown, { holds, rule }: Rule): number[] {
  const items = typeof value === "number" ? [value] : itemsOf(list, value);
  const numbers = items.map((item) => {
    const number = typeof item === "string" ? numberIn(item) : item;
    if (typeof number === "number" && holds(number)) return number;
    throw gridFault(`${list} must be ${rule}, got ${describeValue(item)}`);
  });
  return unlike(list, numbers);
}

interface Rule {
  holds: (value: number) => boolean;
  rule: string;
}

/** The largest number of seeds: a larger number was probably meant as a seed. */
const MOST_SEEDS = 1000;
const SEED: Rule = { holds: (seed) => Number.isSafeInteger(seed) && seed >= 0, rule: "whole numbers from 0" };

/** A single number n means the seeds from 0 to n − 1; a list contains the seeds themselves. */
export function seedsOf(value: unknown): number[] {
  const count = typeof value === "string" ? numberIn(value) : value;
  if (typeof count !== "number") return numbersOf("seeds", value, SEED);
  if (!Number.isInteger(count) || count < 1 || count > MOST_SEEDS) {
    throw gridFault(`seeds must be a number of seeds from 1 to ${MOST_SEEDS}, or a list of seeds, got ${count}`);
  }
  return Array.from({ length: count }, (_, seed) => seed);
}

/** Throws if a list contains an item twice. */
export function unlike<T extends string | number>(list: string, items: readonly T[]): T[] {
  const twice = items.find((item, index) => items.indexOf(item) !== index);
  if (twice === undefined) return [...items];
  throw gridFault(`${list} contains ${describeValue(twice)} twice`);
}
