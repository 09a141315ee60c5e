// What the other folders of the project use of this one beside its public names (index.ts). It is not an entry of the package.
export { MOST_FOREGROUND } from "./energy.ts";
export { probabilitiesOf } from "./predict.ts";
