// Names that other folders of the project use, in addition to the public ones (index.ts). This is not an entry of the package.
export { CARD_MARK } from "./card/card-mark.ts";
export { mapsFigure } from "./figures/picture-rows.ts";
export { type GridReportInput, groupName } from "./grid/input.ts";
export { runsTable } from "./grid/table-files.ts";
export { DECOY_RUNS, type DecoyResults, decoyAccuracy, decoyInWords } from "./run/decoy-story.ts";
export { createTensorBoardLog, type TensorBoardLog } from "./tensorboard/log.ts";
export { duration } from "./text/duration.ts";
export { columnHead, columnName, factorOf } from "./text/measure-text.ts";
