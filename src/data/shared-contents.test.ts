import { expect, it } from "vitest";
import { sharedContents } from "./shared-contents.ts";

it("says in one line how many images are in several splits, with an example", () => {
  const train = { paths: ["train/a", "train/b"], hashes: ["1", "2"] };
  const val = { paths: ["val/c", "val/d"], hashes: ["3", "2"] };
  const test = { paths: ["test/e", "test/f", "test/g"], hashes: ["1", "3", "4"] };
  expect(sharedContents({ train, val, test }, "set")).toEqual([
    "set: images are also in a split that the model is trained or chosen by: 1 of val, 2 of test (val/d is the same picture as train/b); remove them from one of the splits",
  ]);
  expect(sharedContents({ train, test: { paths: ["test/g"], hashes: ["4"] } }, "set")).toEqual([]);
  expect(sharedContents({ train: {}, test: {} }, "set")).toEqual([]);
});
