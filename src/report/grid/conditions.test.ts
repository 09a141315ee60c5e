import { describe, expect, it } from "vitest";
import { doneRun, gridRuns } from "../../../test/support/grid-runs.ts";
import { textOf } from "../../../test/support/report-case.ts";
import { analyse } from "../../workflows/study/analysis.ts";
import { dataInWords, dataTable } from "./conditions.ts";

const [folder, mnist] = gridRuns({
  models: [{ name: "small", model: "simple-cnn" }],
  methods: [{ name: "plain", plain: true }],
  datasets: [
    { name: "birds", dataset: "folder", dataDir: "photos/<birds>" },
    { name: "digits", dataset: "mnist" },
  ],
  seeds: [0],
} as never) as [Parameters<typeof doneRun>[0], Parameters<typeof doneRun>[0]];
const samples = (classNames: string[], channels: number) => {
  return { ...doneRun(folder).samples, classNames, channels, height: 64, width: 48 };
};
const groups = analyse([
  doneRun(
    { ...folder, data: "0123456789abcdef0123" },
    {
      images: { train: 1200, val: 1, test: 1 },
      samples: samples(["wren", "robin"], 3),
    },
  ),
  doneRun(mnist, { samples: samples(["0"], 1), test: { images: 10_000 } }),
]);

describe("the data of a grid's report", () => {
  const html = dataTable(groups).toString();

  it("are named with their kind, folder, images, size, classes and digest", () => {
    expect(textOf(html)).toContain(
      "birds folder in photos/<birds> ; 1,200 training, 1 validation and 1 test image; 64x48 pixels in 3 channels; 2 classes: wren, robin; digest 0123456789ab",
    );
    expect(html).not.toContain("<birds>");
  });

  it("of a record that keeps no numbers are told by the test images", () => {
    expect(textOf(html)).toContain("digits mnist; 10,000 test images; 64x48 pixels in 1 channel; 1 class: 0");
  });

  it("are in the first line of the page, with the position of one's own", () => {
    expect(dataInWords(groups)).toBe("birds (folder photos/<birds>), digits");
  });
});
