import { basename, extname, join } from "node:path";
import { writeFileAtomically } from "../../atomic-file.ts";
import type { MethodName } from "../../cam/index.ts";
import type { ExplainConfig } from "../../config/index.ts";
import { counted } from "../../counted.ts";
import { saveSafetensors } from "../../io/index.ts";
import { type ExplainedImage, encodeNpy, explanationFigure, explanationPicture } from "../../report/index.ts";
import { tensor, tidy } from "../../tensor/index.ts";
import type { ExplainedImageRecord, ExplainedMap } from "../../workflows/internal.ts";
import { claimFolder, expectFree, type FolderUse, nextFolder } from "./folder.ts";
import type { ExplanationPlan, SkippedFile } from "./plan.ts";

/** The largest number of images in the grid: more do not fit a page that anyone would read. */
const GRID = 60;

/** The entry of one image in the manifest. */
interface ManifestImage {
  name: string;
  file: string | null;
  index: number | null;
  label: string | null;
  prediction: string;
  confidence: number;
  notes: readonly string[];
  maps: { method: string; target: string; probability: number; dead: boolean; picture: string | null }[];
}

/** The files that the explanation reads. */
function inputsOf({ weights, classNames }: ExplainConfig, { subject, files }: ExplanationPlan): string[] {
  const others = [subject.checkpoint, weights, classNames].filter((path) => path !== undefined);
  return [...files, ...others];
}

/**
 * Writes the folder of an explanation. Pictures are written while images are explained, then the grid and the raw maps, and at last the
 * manifest, which marks the folder as complete.
 */
export class ExplanationFiles {
  readonly #folder: string;
  readonly #config: ExplainConfig;
  readonly #plan: ExplanationPlan;
  readonly #images: ManifestImage[] = [];
  readonly #grid: ExplainedImage[] = [];
  readonly #columns = new Map<string, Float32Array[]>();
  #written: string[] = [];
  #release: (() => void) | undefined;

  private constructor(config: ExplainConfig, plan: ExplanationPlan, folder: string) {
    this.#folder = folder;
    this.#config = config;
    this.#plan = plan;
  }

  /** Opens the folder without changing anything in it. @throws E_CONFIG if the folder contains something that must not be replaced */
  static async open(config: ExplainConfig, plan: ExplanationPlan): Promise<ExplanationFiles> {
    const inputs = inputsOf(config, plan);
    const folder = config.output ?? (await nextFolder({ overwrite: config.overwrite, inputs }));
    const files = new ExplanationFiles(config, plan, folder);
    await expectFree(files.#use());
    return files;
  }

  #use(): FolderUse {
    return {
      output: this.#folder,
      overwrite: this.#config.overwrite,
      inputs: inputsOf(this.#config, this.#plan),
    };
  }

  /** Releases the folder. */
  close(): void {
    this.#release?.();
  }

  async add(record: ExplainedImageRecord): Promise<void> {
    this.#release ??= await claimFolder(this.#use(), this.#config.overlays);
    const { image, prediction, confidence, maps, probabilities } = record;
    const names = this.#plan.subject.classNames;
    const verdict = verdictOf(record, this.#plan.shownNames);
    const entries: ManifestImage["maps"] = [];
    for (const map of maps) {
      const picture = this.#config.overlays ? await this.#writeOverlay(record, map) : null;
      const target = names[map.target] as string;
      const probability = probabilities[map.target] as number;
      entries.push({ method: map.method, target, probability, dead: map.map.every((value) => value === 0), picture });
      if (this.#config.raw !== "none") this.#keep(this.#columnOf(map), map.map);
    }
    if (this.#config.grid && this.#grid.length < GRID)
      this.#grid.push({
        ...record.picture,
        ...verdict,
        ...this.#targetOf(record),
        maps: maps.map(({ shown }) => shown),
      });
    this.#images.push({
      ...{ name: image.name, file: image.file, index: image.index, notes: image.notes, maps: entries },
      label: image.label === null ? null : (names[image.label] as string),
      prediction: names[prediction] as string,
      confidence,
    });
  }

  /** Writes the files that need all images, and returns the paths of those to look at first. */
  async finish(skipped: readonly SkippedFile[]): Promise<string[]> {
    if (this.#config.grid) await this.#writeGrid();
    const raw = await this.#writeRaw();
    const manifest = join(this.#folder, "manifest.json");
    await writeFileAtomically(manifest, `${JSON.stringify(this.#manifest(raw, skipped), null, 2)}\n`);
    return [...this.#written, manifest];
  }

  /** The class that all maps of a row explain, if it is the same for all. */
  #targetOf({ maps }: ExplainedImageRecord): { target?: string } {
    const [first] = maps;
    if (this.#plan.target === "all" || first === undefined) return {};
    return { target: this.#plan.shownNames[first.target] as string };
  }

  #columnOf({ method, target }: ExplainedMap): string {
    return this.#plan.target === "all" ? `${method}.${target}` : method;
  }

  #keep(column: string, map: Float32Array): void {
    const kept = this.#columns.get(column);
    if (kept === undefined) this.#columns.set(column, [map]);
    else kept.push(map);
  }

  async #writeOverlay(record: ExplainedImageRecord, map: ExplainedMap): Promise<string> {
    const { image } = record;
    const number = String(this.#images.length).padStart(4, "0");
    const stem = stemOf(image.name);
    const file = join("overlays", `${number}-${stem}.${this.#columnOf(map)}.png`);
    const names = this.#plan.shownNames;
    const target = { target: names[map.target] as string };
    const picture = { ...record.picture, ...verdictOf(record, names), ...target, ...styleOf(this.#config, map.method) };
    await writeFileAtomically(
      join(this.#folder, file),
      explanationPicture({ ...picture, map: map.shown, caption: this.#config.caption }),
    );
    return file;
  }

  async #writeGrid(): Promise<void> {
    if (this.#grid.length === 0) return;
    const { subject, layers, methods, target } = this.#plan;
    const names = this.#plan.shownNames;
    const columnsOf = (method: MethodName) =>
      target === "all" ? names.map((name) => (methods.length > 1 ? `${method} ${name}` : name)) : [method];
    const columns = methods.flatMap(columnsOf);
    const shown =
      this.#grid.length < this.#images.length
        ? `, the first ${this.#grid.length} of ${counted(this.#images.length, "image")}`
        : "";
    const pages = explanationFigure({
      title: `What ${subject.modelName} looks at`,
      subtitle: `${targetText(target, subject.classNames)}${layers.length === 0 ? "" : `; layer ${layers.join(", ")}`}${shown}`,
      footer: `${subject.checkpoint}. ${this.#config.augSmooth ? "Each map is the mean of six scaled maps" : "Each map is scaled by itself"}, so colours can be compared within an image but not between images.`,
      ...{ methods: columns, images: this.#grid, ...styleOf(this.#config) },
      styles: methods.flatMap((method) => columnsOf(method).map(() => styleOf(this.#config, method).style)),
    });
    for (const [index, page] of pages.entries()) {
      const path = join(this.#folder, pages.length === 1 ? "grid.png" : `grid-${index + 1}.png`);
      await writeFileAtomically(path, page);
      this.#written.push(path);
    }
  }

  /** @returns the files, relative to the folder */
  async #writeRaw(): Promise<string[]> {
    const { raw } = this.#config;
    const [height, width] = this.#plan.subject.imageSize;
    const shapeOf = (maps: Float32Array[]) => [maps.length, height, width];
    if (raw === "none") return [];
    if (raw === "safetensors") {
      const made = tidy(
        () =>
          new Map(
            Array.from(this.#columns, ([column, maps]) => [column, tensor(joined(maps), { shape: shapeOf(maps) })]),
          ),
      );
      await saveSafetensors(join(this.#folder, "maps.safetensors"), made);
      for (const one of made.values()) one.dispose();
      return ["maps.safetensors"];
    }
    for (const [column, maps] of this.#columns)
      await writeFileAtomically(join(this.#folder, `${column}.npy`), encodeNpy(joined(maps), shapeOf(maps)));
    return Array.from(this.#columns.keys(), (column) => `${column}.npy`);
  }

  #manifest(raw: string[], skipped: readonly SkippedFile[]) {
    const { subject, methods, layers, target, options } = this.#plan;
    const { modelName: name, checkpoint, imageSize, channels, normalization, classNames } = subject;
    return {
      schemaVersion: 1,
      model: { name, checkpoint, channels, imageSize, normalization, classNames },
      methods,
      layers,
      target,
      options,
      maps: {
        files: raw,
        dtype: "float32",
        shape: `(images, height, width) in [0, 1]${target === "all" ? ", a tensor METHOD.CLASS for each class" : ""}`,
        imageSize,
      },
      images: this.#images,
      skipped: skipped.map(({ file, error }) => ({ file, error })),
    };
  }
}

/** The letters and digits of an image's name, of all scripts. File systems allow 255 bytes for a picture's whole name. */
function stemOf(name: string): string {
  const word = basename(name, extname(name))
    .normalize("NFC")
    .replace(/[^\p{L}\p{M}\p{N}_.+@-]+/gu, "-");
  const letters = [...word].slice(0, 80);
  while (Buffer.byteLength(letters.join("")) > 160) letters.pop();
  return letters.join("");
}

function joined(maps: readonly Float32Array[]): Float32Array {
  const size = maps[0]?.length ?? 0;
  const all = new Float32Array(size * maps.length);
  for (const [index, map] of maps.entries()) all.set(map, index * size);
  return all;
}

function verdictOf({ image, prediction, confidence }: ExplainedImageRecord, names: readonly string[]) {
  const label = image.label === null ? {} : { label: names[image.label] as string };
  return { name: image.name, prediction: names[prediction] as string, confidence, ...label };
}

/** Methods that score single pixels are drawn as separate maps, because single points would not be visible over an image. */
function styleOf({ style, colormap }: ExplainConfig, method?: MethodName) {
  const own = style ?? (method !== undefined && PIXELS.has(method) ? "map" : "overlay");
  return colormap === undefined ? { style: own } : { style: own, colormap };
}

const PIXELS: ReadonlySet<MethodName> = new Set([
  "FullGrad",
  "Saliency",
  "IntegratedGradients",
  "SmoothGrad",
  "GuidedBackprop",
]);

function targetText(target: ExplanationPlan["target"], names: readonly string[]): string {
  if (target === "prediction") return "maps of the predicted class";
  if (target === "label") return "maps of the true class";
  if (target === "all") return "maps of every class";
  return typeof target === "number" ? `maps of class ${names[target]}` : `maps of the class ranked ${target.kth}`;
}
