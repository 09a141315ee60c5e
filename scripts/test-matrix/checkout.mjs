import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * Copies the files of a checkout that git tracks or would add, with their current content. Builds and packages are not copied.
 *
 * @param {string} root
 * @param {string} target
 */
export function copyOfCheckout(root, target) {
  const list = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root });
  for (const path of list.toString().split("\0").filter(Boolean)) {
    if (!existsSync(join(root, path))) continue; // deleted in the working tree but not yet in git
    mkdirSync(dirname(join(target, path)), { recursive: true });
    cpSync(join(root, path), join(target, path));
  }
  return target;
}
