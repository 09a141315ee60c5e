import { z } from "zod";
import { counted } from "../counted.ts";
import { numberIn } from "./number-text.ts";

/** A field of one number for each channel: a list, or text with commas. */
export const figures = () => z.union([z.array(z.number()), z.string()]);

/** The numbers of a `figures` field; null if it does not have 1 to 4 numbers. */
export function figuresOf(value: string | readonly number[]): number[] | null {
  if (typeof value !== "string" && !Array.isArray(value)) return null; // from a program, so no schema has checked it
  const items: readonly (number | undefined)[] =
    typeof value === "string" ? value.split(",").map((item) => numberIn(item.trim())) : value;
  const numbers = items.filter((item): item is number => item !== undefined && Number.isFinite(item));
  return numbers.length === items.length && numbers.length >= 1 && numbers.length <= 4 ? numbers : null;
}

/** The options of a config that set the normalisation. */
export interface NormalizationChoice {
  normalization?: string | undefined;
  mean?: string | readonly number[] | undefined;
  std?: string | readonly number[] | undefined;
}

/**
 * Checks these options together.
 *
 * @returns the key that is wrong and what it must be; null if they are valid
 */
export function normalizationFault({
  normalization,
  mean,
  std,
}: NormalizationChoice): [keyof NormalizationChoice, string] | null {
  if ((mean === undefined) !== (std === undefined))
    return mean === undefined ? ["mean", "given together with std"] : ["std", "given together with mean"];
  if (mean === undefined || std === undefined) return null;
  if (normalization !== undefined) return ["normalization", "left out with mean and std, which replace it"];
  const [means, deviations] = [figuresOf(mean), figuresOf(std)];
  if (means === null) return ["mean", 'a number for each channel, such as "0.485,0.456,0.406"'];
  if (deviations === null || deviations.some((figure) => figure <= 0))
    return ["std", 'a number above 0 for each channel, such as "0.229,0.224,0.225"'];
  return means.length === deviations.length ? null : ["std", `${counted(means.length, "number")}, as many as mean`];
}
