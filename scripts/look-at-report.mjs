// Opens a report.html in headless Chromium at desktop and phone width, in light and dark mode and for print, and takes screenshots. It
// fails on console errors, requests, content wider than the page, and serious or critical faults that axe-core finds.
// Usage: node scripts/look-at-report.mjs report.html [--out <folder>]; it needs chromium or google-chrome on the PATH.
import { existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** The first browser on the PATH, or undefined if none is installed. */
export function findBrowser(path = process.env.PATH ?? "") {
  const folders = path.split(delimiter).filter(Boolean);
  return BROWSERS.flatMap((name) => folders.map((folder) => join(folder, name))).find((file) => existsSync(file));
}

const THEMES = /** @type {const} */ (["light", "dark"]);
const VIEWS = [1280, 390].flatMap((width) => THEMES.map((theme) => ({ width, theme })));

/**
 * The faults of a page, one line each. Screenshots and a PDF are written to `out` if it is given.
 *
 * @param {string} report
 * @param {{ browser: string | undefined, out?: string | undefined }} options
 * @returns {Promise<string[]>}
 */
export async function lookAt(report, { browser: executablePath, out }) {
  const { chromium } = await import("playwright-core");
  const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
  const browser = await chromium.launch({ args: ["--no-sandbox"], ...(executablePath && { executablePath }) });
  /** @type {string[]} */
  const faults = [];
  if (out !== undefined) mkdirSync(out, { recursive: true });
  try {
    for (const { width, theme } of VIEWS) {
      const view = `${width} px, ${theme}`;
      // The page's content security policy forbids scripts, so it is bypassed to run axe.
      const context = await browser.newContext({
        viewport: { width, height: 900 },
        colorScheme: theme,
        bypassCSP: true,
      });
      const page = await context.newPage();
      page.on("console", (message) => message.type() === "error" && faults.push(`${view}: console: ${message.text()}`));
      page.on("pageerror", (error) => faults.push(`${view}: ${error.message}`));
      const address = pathToFileURL(resolve(report)).href;
      page.on("request", (request) => {
        const url = request.url();
        if (url !== address && !url.startsWith("data:")) faults.push(`${view}: the page requests ${url}`);
      });
      await page.goto(address, { waitUntil: "load" });
      const wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
      if (wide > 0) faults.push(`${view}: the page is ${wide} px wider than the window`);
      if (out !== undefined) await page.screenshot({ path: join(out, `${width}-${theme}.png`), fullPage: true });
      await page.addScriptTag({ path: axe });
      /** @type {import("axe-core").AxeResults} */
      const { violations } = await page.evaluate("axe.run()");
      for (const { id, impact, help, nodes } of violations)
        if (impact === "serious" || impact === "critical")
          faults.push(
            `${view}: ${id} (${impact}): ${help}: ${nodes.length} times, as ${nodes[0]?.target.join(" ")}: ${nodes[0]?.failureSummary}`,
          );
      if (out !== undefined && width === 1280 && theme === "light")
        await page.pdf({ path: join(out, "print.pdf"), format: "A4", printBackground: false });
      await context.close();
    }
  } finally {
    await browser.close();
  }
  return faults;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { out: { type: "string" } } });
  const browser = findBrowser();
  const [report, ...more] = positionals;
  if (report === undefined || more.length > 0)
    throw new Error("usage: node scripts/look-at-report.mjs report.html [--out <folder>]");
  if (browser === undefined) throw new Error(`none of ${BROWSERS.join(", ")} is on the PATH`);
  const faults = await lookAt(report, { browser, out: values.out });
  for (const fault of faults) console.error(fault);
  console.log(`${report}: ${VIEWS.length} views, ${faults.length} faults`);
  if (faults.length > 0) process.exit(1);
}
