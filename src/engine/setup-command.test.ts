import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { setupCommand as ofScripts } from "../../scripts/setup/command.mjs";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { installCommand, setupCommand } from "./find.ts";

const project = temporaryFolder("project");

describe("the command that sets up", () => {
  it("is a script of the checkout, in its subfolders too", () => {
    for (const folder of [process.cwd(), join(process.cwd(), "src", "nn")]) {
      expect(setupCommand(folder)).toBe("npm run setup");
      expect(ofScripts(folder)).toBe("npm run setup");
      expect(installCommand(folder)).toBe("npm ci");
    }
  });

  it("is the command line's in a project of a user's, which has no such script", () => {
    writeFileSync(join(project, "package.json"), '{ "name": "mine" }');
    mkdirSync(join(project, "src"));
    for (const folder of [project, join(project, "src")]) {
      expect(setupCommand(folder)).toBe("npx batch-cam setup");
      expect(ofScripts(folder)).toBe("npx batch-cam setup");
      expect(installCommand(folder)).toBe("npm install");
    }
  });

  it("is the command line's if there is no package", () => {
    expect(setupCommand("/")).toBe("npx batch-cam setup");
    expect(ofScripts("/")).toBe("npx batch-cam setup");
  });
});
