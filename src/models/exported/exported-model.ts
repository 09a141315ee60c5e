import { expectBoolean, expectInteger, expectString, objectOf, wrongArgument } from "../../arguments.ts";
import { counted } from "../../counted.ts";
import { BatchCamError } from "../../errors.ts";
import { biasUniform_, inEvaluation, kaimingUniform_, parameter } from "../../nn/index.ts";
import { PARTS } from "../../nn/internal.ts";
import { emitNote } from "../../notes.ts";
import { empty, noGrad, type Tensor, tidy } from "../../tensor/index.ts";
import { expectImages, explained, type FailureKind, failureKind } from "../../tensor/internal.ts";
import { type ClosedFormHead, type MapTransform, Model } from "../model.ts";
import { cutPaths } from "./cut-values.ts";
import { chooseLayers, type LayerChoice } from "./default-layer.ts";
import { exampleImages } from "./example-images.ts";
import { withinMemory } from "./example-memory.ts";
import { ModuleTree, type TensorPlace, tensorAt } from "./exported-module.ts";
import { GraphRunner } from "./graph-runner.ts";
import { layerPatternsOf } from "./layer-order.ts";
import { layoutText } from "./map-layout.ts";
import { classifierOf, Definitions, firstConvOf, pooledMaps, type WeightedLayer } from "./model-head.ts";
import { ModuleLayouts } from "./module-layouts.ts";
import { cellsMatter, type ModuleOutput, type OutputSizes, outputsOfFile, outputsOfPass } from "./module-outputs.ts";
import type { Program, ValueName } from "./program.ts";
import { trainingNotice } from "./training-notice.ts";

/** Sides of the images if the file takes any. */
const USUAL_SIDE = 224;

/** How the engine's failures for tensors of two dtypes are classed. */
const DTYPE_FAULTS: ReadonlySet<FailureKind | undefined> = new Set([
  "type",
  "value",
  "not implemented",
  "sentence",
  "other",
]);

/** The number of layers for which one pass finds out whether the logits depend on their cells. */
const LAYERS_AT_ONCE = 4;

/**
 * A classifier that torch.export wrote: its graph of ATen operators runs here with autograd to any order. Modules, parameters and
 * buffers have PyTorch's paths and names, so that every module's output can be tapped and weights move both ways. It is in
 * evaluation mode at first; `train()` and `eval()` switch batch norm and dropout, whichever mode the file was exported in.
 */
export class ExportedModel extends Model {
  readonly [PARTS]: Record<string, unknown> = Object.create(null);
  /** Name of the Python class of the model, "ResNet". */
  readonly pythonType: string;
  /** The version of torch that wrote the file. */
  readonly torchVersion: string;
  /** Channels, height and width of the images; a number that the file leaves open is null. */
  readonly imageSize: readonly [channels: number | null, height: number | null, width: number | null];
  readonly firstConv: string;
  readonly classifier: string;
  /** The layers in the order in which they run; parameters outside of every layer count as the head's. */
  override readonly layerPatterns: readonly RegExp[];
  readonly #program: Program;
  readonly #source: string;
  readonly #places: ReadonlyMap<ValueName, TensorPlace>;
  readonly #runner: GraphRunner;
  readonly #head: WeightedLayer | null;
  #layouts: ModuleLayouts;
  #chosen: LayerChoice | null = null;
  readonly #batch: number | null;
  #numClasses = 0;
  #toldOfTraining = false;

  /**
   * @param program its tensors belong to the model from then on
   * @param source the file, for messages
   * @throws E_DATA with every node that this engine cannot run, or for a program whose output is not logits
   */
  constructor(program: Program, source: string) {
    super();
    expectProgram(program);
    expectString("ExportedModel: source", source);
    this.#program = program;
    this.#source = source;
    this.torchVersion = program.torchVersion;
    const [batch = null, channels = null, height = null, width = null] = program.input.sizes;
    this.#batch = batch;
    this.imageSize = [channels, height, width];
    const tree = new ModuleTree(this[PARTS] as Record<string, unknown>);
    this.#places = placesOf(program, tree);
    this.pythonType = tree.addScopes(program.graph) || "ExportedModel";
    const definitions = new Definitions(program);
    this.#head = classifierOf(program, definitions, source);
    this.classifier = this.#head?.path ?? "";
    this.firstConv = firstConvOf(program, definitions)?.path ?? "";
    this.layerPatterns = layerPatternsOf(program.graph, this);
    this.#runner = new GraphRunner({ program, tree, places: this.#places, root: this }, source);
    for (const module of this.namedModules().values()) module.training = false;
    this.#layouts = this.#look();
  }

  /** Finds the number of classes and the sizes of all outputs, in the file if that (still) names them, and else by example images. */
  #look({ isChanged = false } = {}): ModuleLayouts {
    const images = this.#exampleSizes();
    const ofFile = isChanged ? null : outputsOfFile(this.#program, this.#runner.calls, images);
    const outputs = ofFile ?? this.#outputsOfPass();
    const classes = this.#program.graph.sizes?.get(this.#program.output)?.[1];
    if (ofFile !== null) this.#numClasses = classes as number;
    const outputOf = (path: string) => this.#runner.outputOf(path);
    return new ModuleLayouts({ model: this, program: this.#program, images, outputs, outputOf });
  }

  #outputsOfPass(): OutputSizes[] {
    return this.#withExamples((images) => {
      const { outputs, logits } = outputsOfPass(this, images);
      this.#numClasses = this.#classesOf(logits, images);
      return outputs;
    });
  }

  /** The layers with maps. They are chosen when they are first asked for, because that may need passes of example images. */
  get #layers(): LayerChoice {
    if (this.#chosen !== null) return this.#chosen;
    const cuts = cutPaths(this.#program, this.#runner.calls, new Definitions(this.#program));
    const outputs = this.moduleOutputs;
    const tokens = outputs.filter(({ path, layout }) => layout?.kind === "tokens" && cuts.has(path));
    const read = new Map<string, boolean>();
    const matters = (output: ModuleOutput): boolean => {
      if (output.layout?.kind !== "tokens") return true;
      const last = tokens.indexOf(output) + 1;
      // One pass answers for several layers, and those before this one are asked for next.
      const asked = last === 0 ? [output] : tokens.slice(Math.max(0, last - LAYERS_AT_ONCE), last);
      if (!read.has(output.path)) for (const [path, isRead] of this.#readCells(asked)) read.set(path, isRead);
      return read.get(output.path) === true;
    };
    this.#chosen = chooseLayers(outputs, { isCut: (path) => cuts.has(path), matters });
    return this.#chosen;
  }

  #readCells(outputs: readonly ModuleOutput[]): ReadonlyMap<string, boolean> {
    return this.#withExamples((images) => this.#withReadableHead(() => cellsMatter(this, images, outputs)));
  }

  #withExamples<T>(fn: (images: Tensor) => T): T {
    const sizes = this.#exampleSizes();
    const pass = () => tidy(() => fn(exampleImages(sizes, this.#runner)));
    return inEvaluation(this, () => withinMemory(sizes, this.#source, pass));
  }

  /** A head that starts from zero shows nothing of what it reads, so it gets other weights while `fn` runs. */
  #withReadableHead<T>(fn: () => T): T {
    const place = this.#head === null ? undefined : this.#places.get(this.#head.weight);
    const weight = place === undefined ? undefined : tensorAt(place);
    if (weight === undefined || weight.detach().abs().max().item() > 0) return fn();
    try {
      noGrad(() => weight.copy_(exampleImages(weight.sizes, weight)));
      return fn();
    } finally {
      noGrad(() => weight.zero_());
    }
  }

  #exampleSizes(): number[] {
    const [channels, height, width] = this.imageSize;
    // Two images, because an export may take none but one image for a special case.
    return [this.fixedBatch ?? 2, channels ?? 3, height ?? width ?? USUAL_SIDE, width ?? height ?? USUAL_SIDE];
  }

  #classesOf(logits: readonly number[], images: Tensor): number {
    const [batch, classes] = logits;
    if (logits.length === 2 && batch === images.sizes[0] && classes !== undefined && classes > 0) return classes;
    throw new BatchCamError(
      "E_DATA",
      `loadExportedModel: ${this.#source}: a classifier gives logits (N, classes), and this program gives [${logits.join(", ")}] for images of [${images.shape.join(", ")}]: export the classifier alone, without what follows its logits`,
    );
  }

  override forward(x: Tensor): Tensor {
    const [channels, height, width] = this.imageSize;
    expectImages("ExportedModel", x, channels ?? undefined);
    this.#expectBatch(x.sizes[0] as number);
    const fits = [height, width].every((side, i) => side === null || side === x.sizes[2 + i]);
    if (fits) return this.#run(x);
    throw new BatchCamError(
      "E_SHAPE",
      `ExportedModel: ${this.#source} was exported for images of ${height ?? "any"}x${width ?? "any"}, got ${x.sizes[2]}x${x.sizes[3]}: resize the images, or export it for that size (batch-cam export-recipe)`,
    );
  }

  /** Some operators convert images of another dtype, so an error says what to do only if one refuses them. */
  #run(x: Tensor): Tensor {
    try {
      return this.#runner.run(x);
    } catch (error) {
      const { dtype } = this.#runner;
      if (x.dtype === dtype || !(error instanceof BatchCamError) || !DTYPE_FAULTS.has(failureKind(error))) throw error;
      throw explained(
        error,
        "E_DTYPE",
        `ExportedModel: ${this.#source} has weights of ${dtype}, and the images are ${x.dtype}: convert the model by model.to("${x.dtype}"), or the images by x.to("${dtype}"); the engine says: ${error.detail}`,
      );
    }
  }

  #expectBatch(batch: number): void {
    if (this.fixedBatch === null || this.fixedBatch === batch) return;
    throw new BatchCamError(
      "E_SHAPE",
      `ExportedModel: ${this.#source} was exported for exactly ${counted(this.fixedBatch, "image")} at a time, got ${batch}: give it that many, or export it for any number of images; batch-cam export-recipe prints how`,
    );
  }

  // ---- what the file shows
  override get fixedBatch(): number | null {
    return this.#batch;
  }

  override get numClasses(): number {
    return this.#numClasses;
  }

  /** @throws E_CONFIG if no module of the model gives maps */
  override get camLayer(): string {
    if (this.#layers.camLayer !== null) return this.#layers.camLayer;
    throw new BatchCamError(
      "E_CONFIG",
      `ExportedModel: ${this.#source} has no module with maps of more than one cell, which training and evaluating need: explain it by a method that needs no layer, such as Saliency`,
    );
  }

  override get camLayers(): readonly string[] {
    return this.#layers.camLayers;
  }

  /** The outputs of all modules for example images, in the order in which the modules end. */
  get moduleOutputs(): readonly ModuleOutput[] {
    return this.#layouts.all();
  }

  override reshapeTransformOf(layer: string): MapTransform | undefined {
    return this.#layouts.transformOf(layer);
  }

  /** Describes a layer's output in words: "tokens (N, 1 + 14 x 14, C)"; null for a layer that gives no maps. */
  layoutOf(layer: string): string | null {
    const layout = this.#layouts.layoutOf(layer);
    return layout === null ? null : layoutText(layout);
  }

  override closedFormHead(): ClosedFormHead | null {
    const maps = pooledMaps(this.#program, new Definitions(this.#program), this.#head);
    const place = this.#head === null ? undefined : this.#places.get(this.#head.weight);
    if (maps === null || place === undefined || this.#layouts.layoutOf(this.camLayer)?.kind !== "maps") return null;
    const outputOf = (path: string) => this.#runner.outputOf(path);
    if (outputOf(this.camLayer) !== maps || outputOf(this.classifier) !== this.#program.output) return null;
    return { layer: this.classifier, weight: tensorAt(place) };
  }

  // ---- changes
  /** Sets training mode; the first time, a note says what follows it and what does not. */
  override train(training = true): this {
    expectBoolean("train: training", training);
    if (training && !this.#toldOfTraining) {
      this.#toldOfTraining = true;
      const { note, warnings } = trainingNotice(this.#program, this.#source);
      emitNote(note);
      for (const warning of warnings) process.emitWarning(warning);
    }
    if (training) this.#runner.forgetFolded();
    return super.train(training);
  }

  /**
   * Puts a new layer for another number of classes in the place of the one that gives the logits, initialised as torch does it.
   *
   * @throws E_CONFIG if the graph does not end in a linear layer or a convolution
   */
  resetClassifier(numClasses: number): this {
    expectInteger("resetClassifier: numClasses", numClasses, 1);
    const head = this.#head;
    if (head === null)
      throw new BatchCamError(
        "E_CONFIG",
        `resetClassifier: the logits of ${this.#source} do not come from a linear layer: train it with its own ${counted(this.#numClasses, "class")}, or change the model in Python and export it again`,
      );
    const place = this.#places.get(head.weight) as TensorPlace;
    const old = tensorAt(place);
    const { dtype, device } = old;
    const weight = kaimingUniform_(empty([numClasses, ...old.sizes.slice(1)]))
      .to(dtype)
      .to(device);
    place.record[place.key] = parameter(weight);
    const bias = head.bias === null ? undefined : this.#places.get(head.bias);
    if (bias !== undefined) {
      const fresh = biasUniform_(empty([numClasses]), weight)
        .to(dtype)
        .to(device);
      tensorAt(bias).dispose();
      bias.record[bias.key] = parameter(fresh);
    }
    old.dispose();
    this.#chosen = null;
    this.#layouts = this.#look({ isChanged: true });
    return this;
  }

  override dispose(): void {
    this.#runner.forgetFolded();
    super.dispose();
  }

  override typeName(): string {
    return this.pythonType;
  }
}

/** Throws E_ARGUMENT for a value that `readProgram` cannot have made. */
function expectProgram(value: Program): void {
  const { graph, input, tensors, output } = objectOf("ExportedModel: program", value);
  const { nodes, inputs } = objectOf("ExportedModel: program.graph", graph);
  const { sizes } = objectOf("ExportedModel: program.input", input);
  expectString("ExportedModel: program.output", output);
  const lists = { tensors, sizes, nodes, inputs };
  for (const [name, list] of Object.entries(lists))
    if (!Array.isArray(list))
      throw wrongArgument(`ExportedModel: program, ${name}`, "an array; loadExportedModel reads a file", list);
}

/** Puts the program's tensors into their modules; the places of those that the graph reads. */
function placesOf(program: Program, tree: ModuleTree): ReadonlyMap<ValueName, TensorPlace> {
  const places = new Map<ValueName, TensorPlace>();
  for (const tensor of program.tensors) {
    const place = tree.add(tensor);
    if (tensor.value !== null) places.set(tensor.value, place);
  }
  return places;
}
