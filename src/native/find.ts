import { fileURLToPath } from "node:url";
import { BatchCamError } from "../errors.ts";
export const addonPath = (): string => fileURLToPath(new URL("../../native/build/batch_cam.node", import.meta.url));
export const explainLoadFailure = (error: unknown): BatchCamError => new BatchCamError("E_NATIVE", String(error));
