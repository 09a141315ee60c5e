/** Replaces a missing number. */
export const DASH = "–";

type MaybeNumber = number | null | undefined;

/** A number with fixed decimals and a true minus sign; a dash if it is null or not finite. */
export function formatNumber(value: MaybeNumber, digits = 3): string {
  if (!isNumber(value)) return DASH;
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

/** A whole number with commas between thousands. */
export function formatCount(value: MaybeNumber): string {
  return isNumber(value) ? value.toLocaleString("en") : DASH;
}

/** A share in [0, 1] as a percentage. */
export function formatPercent(value: MaybeNumber, digits = 2): string {
  return isNumber(value) ? `${formatNumber(value * 100, digits)}\u00a0%` : DASH;
}

/** A difference with its sign. A difference that is zero at the given precision has no sign. */
export function formatSigned(value: MaybeNumber, digits = 3): string {
  const text = formatNumber(value, digits);
  return isNumber(value) && value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

/** A number with three significant digits in as few characters as possible, for captions. */
export function formatShort(value: MaybeNumber): string {
  if (!isNumber(value)) return DASH;
  if (value === 0) return "0";
  const magnitude = Math.abs(value);
  if (magnitude >= 1e5 || magnitude < 1e-3) {
    return value.toExponential(1).replace(".0e", "e").replace("e+", "e").replaceAll("-", "−");
  }
  return String(Number(value.toPrecision(3))).replace("-", "−");
}

/** Whether the value is a finite number. */
export function isNumber(value: MaybeNumber): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** Mean of the finite numbers in a list; null if the list has no finite number. */
export function mean(values: readonly MaybeNumber[]): number | null {
  const known = values.filter(isNumber);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

/** "p = 0.012", "p < 0.001" */
export function pText(p: number, name = "p"): string {
  return p < 0.001 ? `${name} < 0.001` : `${name} = ${p.toFixed(p < 0.1 ? 3 : 2)}`;
}

/** A difference whose corrected p is below this level is called significant, or distinguished from chance. */
export const LEVEL = 0.05;
