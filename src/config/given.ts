/** The value of `model` and `dataset` in the config of a run whose model or images a program passed to `train`. */
export const GIVEN = "given";
export type Given = typeof GIVEN;

/** The parts of a run that a program can pass instead of naming them in the config. */
export interface GivenParts {
  readonly model: boolean;
  readonly data: boolean;
}

/** The parts that were passed, according to the config of a run. */
export const givenPartsOf = ({ model, dataset }: { model?: unknown; dataset?: unknown }): GivenParts => ({
  model: model === GIVEN,
  data: dataset === GIVEN,
});

/** A config without the options that passed parts replace, so that the schema can check the others. */
export function withoutGiven<T extends object>(config: T, { model, data }: GivenParts): Omit<T, "model" | "dataset"> {
  const left = Object.entries(config).filter(([key]) => !((key === "model" && model) || (key === "dataset" && data)));
  return Object.fromEntries(left) as Omit<T, "model" | "dataset">;
}

/** A config that records which parts were passed. */
export const markedAsGiven = <T extends object>(config: T, { model, data }: GivenParts) =>
  ({ ...config, ...(model ? { model: GIVEN } : {}), ...(data ? { dataset: GIVEN } : {}) }) as T;

/** The reason why a user's option cannot be "given"; null for any other value. */
export function givenFault(key: string, value: unknown): string | null {
  const part = value !== GIVEN ? undefined : { model: "model", dataset: "data" }[key];
  if (part === undefined) return null;
  const what = part === "data" ? "images" : "model";
  return `is "${GIVEN}", as the config of a run says whose ${what} a program gave: name one, or train it from a program, by train(config, { ${part} }) of batch-cam/train`;
}
