/** The number that a text says in decimal notation alone: no empty text, hexadecimal, unit or thousands separator. */
export function numberIn(text: string): number | undefined {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined;
}
