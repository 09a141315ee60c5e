import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { hint } from "../config/index.ts";
import { gridFault } from "../experiments/grid-lists.ts";

const FOLDER = new URL("../../presets/", import.meta.url);

/**
 * The file of a grid that comes with the package.
 * @throws E_CONFIG for a name that there is not
 */
export function presetFile(name: string): string {
  const known = readdirSync(FOLDER).flatMap((file) => file.match(/^(.+)\.yaml$/)?.[1] ?? []);
  if (known.includes(name)) return fileURLToPath(new URL(`${name}.yaml`, FOLDER));
  throw gridFault(`--preset must be of ${known.sort().join(", ")}, got ${JSON.stringify(name)}${hint(name, known)}`);
}
