import { DTYPES } from "../../tensor/internal.ts";
import { nameOf, object, text, variant } from "./arguments.ts";
import { dtypeName, dtypeOfFile } from "./enumerations.ts";
import { RECIPE } from "./foreign.ts";
import type { FailGraph } from "./graph.ts";
import type { ProgramInput, ProgramTensor, ValueName } from "./program.ts";
import type { GraphJson, SymInt, TensorMeta, Union } from "./schema.ts";

/** A parameter, buffer or constant as the signature lists it. */
export interface TensorSpec extends Pick<ProgramTensor, "name" | "kind" | "persistent"> {
  readonly value: ValueName;
  readonly meta: TensorMeta;
}

export interface Signature {
  readonly tensors: readonly TensorSpec[];
  readonly input: ProgramInput;
  readonly output: ValueName;
  readonly bufferUpdates: readonly { readonly buffer: string; readonly value: ValueName }[];
}

interface SignatureJson {
  input_specs: readonly Union[];
  output_specs: readonly Union[];
}

/** Reads what the inputs and outputs of a program's graph are: weights, one batch of images, logits, new values of buffers. */
export function signatureOf(
  graph: GraphJson,
  { input_specs, output_specs }: SignatureJson,
  fail: FailGraph,
): Signature {
  const inputs = new InputSpecs(graph, fail);
  for (const spec of input_specs) inputs.add(spec);
  const input = inputs.image();
  expectSame(graph.inputs, [...inputs.tensors.map(({ value }) => value), input.value], "input", fail);
  const outputs = new OutputSpecs(graph, fail);
  for (const spec of output_specs) outputs.add(spec);
  const output = outputs.logits(input);
  const { bufferUpdates } = outputs;
  expectSame(graph.outputs, [...bufferUpdates.map(({ value }) => value), output], "output", fail);
  const buffers = new Set(inputs.tensors.flatMap(({ name, kind }) => (kind === "buffer" ? [name] : [])));
  const unknown = bufferUpdates.find(({ buffer }) => !buffers.has(buffer));
  if (unknown !== undefined)
    fail(`the graph updates the buffer ${JSON.stringify(unknown.buffer.slice(0, 80))}, which the model does not have`);
  return { tensors: inputs.tensors, input, output, bufferUpdates };
}

/** Compares the tensors that the signature lists with those that the graph has. */
function expectSame(graph: readonly Union[], listed: readonly string[], what: string, fail: FailGraph): void {
  const names = graph.flatMap((union) => {
    const { name } = (union.as_tensor ?? {}) as { name?: unknown };
    return typeof name === "string" ? [name] : [];
  });
  const [known, wanted] = [new Set(names), new Set(listed)];
  const missing = names.find((name) => !wanted.has(name)) ?? listed.find((name) => !known.has(name));
  if (missing !== undefined)
    fail(`the signature and the graph differ in the ${what} ${JSON.stringify(missing.slice(0, 80))}`);
}

function metaOf({ tensor_values: values }: GraphJson, name: ValueName, fail: FailGraph): TensorMeta {
  const found = Object.hasOwn(values, name) ? values[name] : undefined;
  return found ?? fail(`the graph does not say what the tensor ${JSON.stringify(name.slice(0, 80))} is`);
}

class InputSpecs {
  readonly tensors: TensorSpec[] = [];
  private readonly userInputs: { name: ValueName | undefined; kind: string }[] = [];
  private readonly values = new Set<ValueName>();
  private readonly graph: GraphJson;
  private readonly fail: FailGraph;

  constructor(graph: GraphJson, fail: FailGraph) {
    this.graph = graph;
    this.fail = (problem, remedy) => fail(`the signature's inputs: ${problem}`, remedy);
  }

  add(spec: Union): void {
    const [kind, content] = variant(spec, this.fail);
    const { arg, ...rest } = object(content, this.fail);
    if (kind === "user_input") this.addUserInput(object(arg, this.fail));
    else if (kind === "parameter") this.addTensor(arg, "parameter", { name: rest.parameter_name, persistent: true });
    else if (kind === "buffer")
      this.addTensor(arg, "buffer", { name: rest.buffer_name, persistent: rest.persistent !== false });
    else if (kind === "tensor_constant")
      this.addTensor(arg, "constant", { name: rest.tensor_constant_name, persistent: false });
    else if (kind === "custom_obj")
      this.fail(`the custom object ${JSON.stringify(rest.custom_obj_name)} is not supported`, NO_CUSTOM_OBJECT);
    else if (kind !== "constant_input")
      this.fail(`the kind ${JSON.stringify(kind.slice(0, 80))} is not supported`, ONE_INPUT);
  }

  private addTensor(arg: unknown, kind: TensorSpec["kind"], spec: { name: unknown; persistent: boolean }): void {
    const value = this.once(nameOf(arg, this.fail));
    const name = text(spec.name, this.fail);
    this.tensors.push({ value, name, kind, persistent: spec.persistent, meta: metaOf(this.graph, value, this.fail) });
  }

  private addUserInput(arg: Union): void {
    const [kind, content] = variant(arg, this.fail);
    if (kind === "as_none") return;
    this.userInputs.push({ name: kind === "as_tensor" ? this.once(nameOf(content, this.fail)) : undefined, kind });
  }

  private once(value: ValueName): ValueName {
    if (this.values.has(value)) this.fail(`the name ${JSON.stringify(value.slice(0, 80))} occurs twice`);
    this.values.add(value);
    return value;
  }

  /** The one input of the user, which has to be a batch of images. */
  image(): ProgramInput {
    const [input, ...others] = this.userInputs;
    const list = this.userInputs.map(({ name, kind }) => name ?? kind).slice(0, 8);
    if (input === undefined || others.length > 0) {
      const got = input === undefined ? "none" : `${this.userInputs.length} (${list.join(", ")})`;
      return this.fail(`expected one input, the images, got ${got}`, ONE_INPUT);
    }
    if (input.name === undefined) return this.fail(`expected a tensor as input, got ${input.kind}`, ONE_INPUT);
    const meta = metaOf(this.graph, input.name, this.fail);
    const dtype = dtypeOfFile(meta.dtype);
    if (dtype === undefined || !DTYPES[dtype].floating)
      return this.fail(`expected images of a floating dtype, got ${dtypeName(meta.dtype)}`, FLOATING);
    const sizes = meta.sizes.map(({ as_int: size }) => size ?? null);
    if (sizes.length !== 4) return this.fail(`expected images [N, C, H, W], got ${shapeText(meta)}`, ONE_INPUT);
    if (sizes.some((size) => size !== null && size <= 0)) return this.fail(`got images ${shapeText(meta)}`);
    return { value: input.name, sizes, dtype };
  }
}

const ONE_INPUT = `export a module whose forward takes the images alone, as a batch [N, C, H, W], and gives the logits (${RECIPE})`;
const FLOATING =
  "export the model with an example of floating dtype, and convert and normalise images before it (batch-cam does)";
const NO_CUSTOM_OBJECT = "replace it by ordinary tensors and modules, and export the model again";

class OutputSpecs {
  readonly bufferUpdates: { buffer: string; value: ValueName }[] = [];
  private readonly userOutputs: Union[] = [];
  private readonly graph: GraphJson;
  private readonly fail: FailGraph;

  constructor(graph: GraphJson, fail: FailGraph) {
    this.graph = graph;
    this.fail = (problem, remedy) => fail(`the signature's outputs: ${problem}`, remedy);
  }

  add(spec: Union): void {
    const [kind, content] = variant(spec, this.fail);
    const { arg, ...rest } = object(content, this.fail);
    if (kind === "user_output") this.addUserOutput(object(arg, this.fail));
    else if (kind === "buffer_mutation")
      this.bufferUpdates.push({ buffer: text(rest.buffer_name, this.fail), value: nameOf(arg, this.fail) });
    else if (kind === "parameter_mutation")
      this.fail(`the model changes its own parameter ${JSON.stringify(rest.parameter_name)}`, NO_MUTATION);
    else if (kind === "user_input_mutation") this.fail("the model changes its input in place", NO_MUTATION);
    else this.fail(`the kind ${JSON.stringify(kind.slice(0, 80))} is not supported`, ONE_OUTPUT);
  }

  /** An output that is None does not count: transformers' models give the loss as one. */
  private addUserOutput(arg: Union): void {
    if (!Object.hasOwn(arg, "as_none")) this.userOutputs.push(arg);
  }

  /** The one output for the user, which has to be logits for each image. */
  logits({ sizes: [batch], value: image }: ProgramInput): ValueName {
    const [arg, ...others] = this.userOutputs;
    if (arg === undefined || others.length > 0)
      return this.fail(`expected one output, the logits, got ${this.userOutputs.length}`, ONE_OUTPUT);
    const [kind, content] = variant(arg, this.fail);
    if (kind !== "as_tensor") return this.fail(`expected a tensor of logits, got ${kind.slice(0, 80)}`, ONE_OUTPUT);
    const name = nameOf(content, this.fail);
    const meta = metaOf(this.graph, name, this.fail);
    const dtype = dtypeOfFile(meta.dtype);
    const classes = meta.sizes[1]?.as_int;
    const floating = dtype !== undefined && DTYPES[dtype].floating;
    if (meta.sizes.length !== 2 || classes === undefined || classes < 1 || !floating)
      return this.fail(`expected logits [N, classes], got ${dtypeName(meta.dtype)} ${shapeText(meta)}`, ONE_OUTPUT);
    const images = metaOf(this.graph, image, this.fail).sizes[0] as SymInt;
    if (!mayBeEqual(images, meta.sizes[0] as SymInt, batch ?? null))
      return this.fail(`expected logits of each image, got ${shapeText(meta)}`, ONE_OUTPUT);
    return name;
  }
}

const ONE_OUTPUT = `export a module whose forward gives the logits [N, classes] alone: wrap the model in one that returns, for example, self.model(x).logits (${RECIPE})`;
const NO_MUTATION = "change its forward so that it leaves parameters and inputs as they are, and export it again";

/** Whether two sizes can be the same: numbers and the values of the example are compared, expressions are not evaluated. */
function mayBeEqual(images: SymInt, logits: SymInt, batch: number | null): boolean {
  if (batch !== null || logits.as_int !== undefined) return logits.as_int === undefined || logits.as_int === batch;
  const [a, b] = [images.as_expr?.hint?.as_int, logits.as_expr?.hint?.as_int];
  return a === undefined || b === undefined || a === b;
}

/** A shape in messages, with "?" for sizes that the file does not fix. */
export function shapeText({ sizes }: TensorMeta): string {
  return `[${sizes.map(({ as_int: size }) => size ?? "?").join(", ")}]`;
}
