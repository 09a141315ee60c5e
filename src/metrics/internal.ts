// The names that other folders of the project may import in addition to the public ones in index.ts. This is not an entry point of the package.
export { MOST_FOREGROUND } from "./energy.ts";
export { probabilitiesOf } from "./predict.ts";
