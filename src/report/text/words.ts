/** The text with a capital letter, for the beginning of a sentence. A symbol such as λ stays as it is. */
export const capital = (text: string): string => text.replace(/^[a-z]/, (letter) => letter.toUpperCase());

/** "p = 0.012", "p < 0.001" */
export function pText(p: number, name = "p"): string {
  return p < 0.001 ? `${name} < 0.001` : `${name} = ${p.toFixed(p < 0.1 ? 3 : 2)}`;
}

/** A difference whose corrected p is below this level is called significant, or told apart from chance. */
export const LEVEL = 0.05;
