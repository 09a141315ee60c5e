// The names that other folders of the project may import in addition to the public ones in index.ts. This is not an entry point of the package.
export { GridRows, NO_OPTION_OF_A_ROW, OBJECTIVE_NAMES, type ObjectiveName } from "./compare.ts";
export { dataFields } from "./data-fields.ts";
export { DATASET_OPTIONS, expectUsedOptions, unusedMessage, unusedOptions, usesOption } from "./dataset-options.ts";
export { MODEL_DATA_KEYS } from "./evaluate.ts";
export { FindLrConfig, type FindLrConfigInput, SWEEP_KEYS, UNUSED_KEYS } from "./find-lr.ts";
export { GIVEN, type Given, type GivenParts, givenPartsOf } from "./given.ts";
export { expectModelOptions } from "./model-options.ts";
export { hint, nearestName } from "./nearest-name.ts";
export { figuresOf, type NormalizationChoice, normalizationFault } from "./normalization.ts";
export { numberIn } from "./number-text.ts";
export { alwaysGuided, OWN_DATA, resultConfig } from "./outcome.ts";
export { choicesOf, expectation, type FieldSchema, fieldsOf, parseConfig, typesOf } from "./parse.ts";
export { dataName, defaultLambda, EARLIER_VALUES, parseGivenConfig } from "./resolve.ts";
