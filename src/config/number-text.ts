/** Parses a number in plain decimal notation; undefined for empty text, hexadecimal, units or thousands separators. */
export function numberIn(text: string): number | undefined {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined;
}
