import { z } from "zod";

/** Assigns fields to a heading of the help. */
export function group<S extends z.ZodRawShape>(heading: string, shape: S): S {
  for (const field of Object.values(shape) as z.ZodType[]) {
    z.globalRegistry.add(field, { ...z.globalRegistry.get(field), group: heading });
  }
  return shape;
}

/**
 * The device, for the time when there are several. The field exists now so that users who name a device as in torch get
 * a clear answer.
 */
export const device = () =>
  z
    .enum(["auto", "cpu"])
    .default("auto")
    .describe("device to compute on; this version supports only the CPU")
    .meta({ remark: "this version computes on the CPU only: leave it out" });
export const count = () => z.int().positive();
export const path = () =>
  z
    .string()
    .min(1, { error: "a path that is not empty", abort: true })
    .refine((text) => !text.includes("\0"), { error: "a path without a zero byte" });
/** The fields that locate the data of a run and accept changed data. */
export const runDataFields = () => ({
  dataDir: path().optional().describe("with a run: where its data are now, if they have moved since training"),
  acceptNewData: z
    .boolean()
    .default(false)
    .describe(
      "with a run: accept images that differ from those it was trained on; its classes and normalisation still apply",
    ),
});
// A folder name that the shell and a table cell treat as one word. Letters and digits of all scripts are allowed, with their marks.
export const runName = () =>
  z.string().regex(/^[\p{L}\p{N}_][\p{L}\p{M}\p{N}_.+=@-]*$/u, 'a folder name of letters, digits and ". _ + = @ -"');
