import { z } from "zod";

/** The path of a model that torch.export wrote. */
export type ExportedPath = `${string}.pt2`;

const EXTENSION = /\.pt2$/i;

/** Whether a config's `model` is the path of an exported model, and not the name of one of this project's. */
export const isExportedPath = (model: string): model is ExportedPath => EXTENSION.test(model);

/** A field that takes such a path. */
export const exportedPath = () =>
  z
    .string()
    .regex(EXTENSION, { abort: true })
    .refine((text) => !text.includes("\0"), { error: "a path without a zero byte" })
    .meta({ extension: ".pt2" }) as unknown as z.ZodType<ExportedPath, ExportedPath>;

/** The file's name without folders and extension: what tables and run names call the model. */
export const exportedName = (path: string): string => {
  const file = path.replaceAll("\\", "/").split("/").at(-1) ?? path;
  return file.replace(EXTENSION, "") || path;
};
