import { z } from "zod";

/** Puts fields under one heading of the help. */
export function group<S extends z.ZodRawShape>(heading: string, shape: S): S {
  for (const field of Object.values(shape) as z.ZodType[]) {
    z.globalRegistry.add(field, { ...z.globalRegistry.get(field), group: heading });
  }
  return shape;
}

/** A device, once there are several: the names that torch's users give get a clear answer. */
export const device = () =>
  z
    .enum(["auto", "cpu"])
    .default("auto")
    .describe("where to compute: there is only the CPU yet")
    .meta({ remark: "this version computes on the CPU only: leave it out" });
export const count = () => z.int().positive();
export const path = () =>
  z
    .string()
    .min(1, { error: "a path that is not empty", abort: true })
    .refine((text) => !text.includes("\0"), { error: "a path without a zero byte" });
/** Where the data of a run lie, and whether others are taken. */
export const runDataFields = () => ({
  dataDir: path()
    .optional()
    .describe("with a run: where its data lie now, if they are not where they lay when it was trained"),
  acceptNewData: z
    .boolean()
    .default(false)
    .describe("with a run: go on although the images are not those of the run, under its classes and normalisation"),
});
// A folder name: what the shell, a URL and a table cell all take as one word.
export const runName = () => z.string().regex(/^\w[\w.+=@-]*$/, 'a folder name of letters, digits and ". _ + = @ -"');
