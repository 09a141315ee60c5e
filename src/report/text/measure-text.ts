import { MEASURE_GROUPS, MEASURES, type Measure, type MeasureName } from "../../measures.ts";
import { DASH, formatNumber, formatSigned, isNumber } from "./numbers.ts";

const FACTORS = { "": 1, "%": 100, ms: 1000, s: 1 } as const satisfies Record<Measure["unit"], number>;

/** The factor from a recorded value to the one that is shown. */
export const factorOf = ({ unit }: Pick<Measure, "unit">): number => FACTORS[unit];

/** The measure's name in a report about the test split, such as "test accuracy". Measures of maps do not need the word. */
export const testName = (name: MeasureName): string =>
  Object.hasOwn(MEASURE_GROUPS.classification.measures, name) ? `test ${MEASURES[name].name}` : MEASURES[name].name;

/** The title of a chart: "Accuracy, validation, %". */
export const chartTitle = (measure: Measure, split = ""): string =>
  [capital(measure.name), split, measure.unit].filter(Boolean).join(", ");

/** The name in a table or a list whose subject is known, such as "SSIM". */
export const columnName = ({ column, short }: Measure): string => column ?? short;

/** The head of a column: "accuracy %". */
export const columnHead = (measure: Measure): string => [columnName(measure), measure.unit].filter(Boolean).join(" ");

/** The value as a number with the decimals that are shown. */
export const shownValue = (measure: Measure, value: number): number =>
  Number((value * factorOf(measure)).toFixed(measure.digits));

/** A value without its unit. */
const bareText = (measure: Measure, value: number): string => formatNumber(value * factorOf(measure), measure.digits);

/** A value with its unit; a dash if the value is missing. */
export function valueText(measure: Measure, value: number | null): string {
  return isNumber(value) ? withUnit(bareText(measure, value), measure.unit) : DASH;
}

const withUnit = (text: string, unit: string): string => (unit === "" ? text : `${text}\u00a0${unit}`);

/** A value with its unit, and with its deviation if there is one: "98.10 ± 0.20 %". */
export function spreadText(
  measure: Measure,
  { mean, deviation }: { mean: number; deviation: number },
  { unit = measure.unit }: { unit?: string } = {},
): string {
  const spread = Number.isFinite(deviation) ? ` ± ${bareText(measure, deviation)}` : "";
  return withUnit(`${bareText(measure, mean)}${spread}`, unit);
}

/** The unit of a difference; for shares it is percentage points. */
export const differenceUnit = ({ unit }: Pick<Measure, "unit">): string => (unit === "%" ? "points" : unit);

/** A difference with its sign and unit. */
export function differenceText(measure: Measure, value: number): string {
  const unit = differenceUnit(measure);
  return unit === "points" ? `${signedText(measure, value)} points` : withUnit(signedText(measure, value), unit);
}

/** A difference with its sign and without its unit. */
export const signedText = (measure: Measure, value: number): string =>
  formatSigned(value * factorOf(measure), measure.digits);

/** The text with a capital letter, for the beginning of a sentence. A symbol such as λ is not changed. */
export const capital = (text: string): string => text.replace(/^[a-z]/, (letter) => letter.toUpperCase());
