// The only code that forms plurals. Every message with a count uses it.

/**
 * The form of a word for a count: `wordFor(1, "class")` is "class", `wordFor(2, "class")` is "classes". `many` is the
 * plural if it is irregular.
 */
export function wordFor(count: number | null | undefined, one: string, many = pluralOf(one)): string {
  return count === 1 ? one : many;
}

/**
 * A count with its noun: "1 step", "2 steps", "0 entries".
 *
 * @param noun in the singular; if it has several words, the last one takes the plural ("test image")
 * @param format how the number is written
 */
export function counted<Count extends number | null | undefined>(
  count: Count,
  noun: string,
  format: (count: Count) => string = String,
): string {
  return `${format(count)} ${wordFor(count, noun)}`;
}

/** A phrase for the first of several: "the first step", "the first 20 steps". */
export function theFirst(count: number, noun: string): string {
  return count === 1 ? `the first ${noun}` : `the first ${counted(count, noun)}`;
}

/** A whole number with commas between thousands, as in "60,000". */
export const grouped = (count: number): string => count.toLocaleString("en");

function pluralOf(noun: string): string {
  if (/[^aeiou]y$/.test(noun)) return `${noun.slice(0, -1)}ies`;
  // "och" is pronounced "ock", so its plural is "epochs".
  return /(s|x|[^o]ch|sh)$/.test(noun) ? `${noun}es` : `${noun}s`;
}
