/** The text with a capital letter, for the beginning of a sentence. */
export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** "p = 0.012", "p < 0.001" */
export function pText(p: number, name = "p"): string {
  return p < 0.001 ? `${name} < 0.001` : `${name} = ${p.toFixed(p < 0.1 ? 3 : 2)}`;
}

/** A difference whose corrected p is below this level is called significant, or told apart from chance. */
export const LEVEL = 0.05;
