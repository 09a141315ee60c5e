// Names that other folders of the project use, in addition to the public ones (index.ts). This is not an entry of the package.
export { optimizerNamed, scheduleNamed } from "./by-name.ts";
export { normOfEach } from "./optimizer.ts";
