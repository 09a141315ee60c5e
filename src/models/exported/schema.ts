import { z } from "zod";

// The JSON of a program and of its weights, as far as it is read. Unions (objects with one key that names the kind) are checked where they
// are used, so that an unknown kind is an error of one node and not of the file.
//
// Source: torch/_export/serde/schema.py of PyTorch 2.5 to 2.15 (schema 7.3 to 8.20).

/** A union of the schema: the kind and its content. */
export const Union = z.record(z.string(), z.unknown());
export type Union = z.infer<typeof Union>;

/** A size, stride or offset: a number, or an expression of symbols such as `Symbol('s77', positive=True, integer=True)`. */
export const SymInt = z.object({
  as_int: z.int().optional(),
  as_expr: z.object({ expr_str: z.string(), hint: z.object({ as_int: z.int().optional() }).nullish() }).optional(),
});
export type SymInt = z.infer<typeof SymInt>;

export const TensorMeta = z.object({
  dtype: z.int(),
  sizes: z.array(SymInt).max(64),
  requires_grad: z.boolean(),
  strides: z.array(SymInt).max(64),
  storage_offset: SymInt,
  layout: z.int(),
});
export type TensorMeta = z.infer<typeof TensorMeta>;

export const NodeSchema = z.object({
  target: z.string(),
  inputs: z.array(z.object({ name: z.string(), arg: Union })),
  outputs: z.array(Union),
  metadata: z.record(z.string(), z.unknown()).default({}),
  name: z.string().nullish(),
});
export type NodeJson = z.infer<typeof NodeSchema>;

export const GraphSchema = z.object({
  inputs: z.array(Union),
  outputs: z.array(Union),
  nodes: z.array(z.unknown()),
  tensor_values: z.record(z.string(), TensorMeta),
  sym_int_values: z.record(z.string(), z.unknown()).default({}),
  sym_bool_values: z.record(z.string(), z.unknown()).default({}),
  sym_float_values: z.record(z.string(), z.unknown()).default({}),
});
export type GraphJson = z.infer<typeof GraphSchema>;

/** Checked before anything else, because another major version may have any content. */
export const VersionSchema = z.object({
  schema_version: z.object({ major: z.int(), minor: z.int() }),
  torch_version: z.string().default("2.4 or older"),
});

export const ProgramSchema = z.object({
  graph_module: z.object({
    graph: GraphSchema,
    signature: z.object({ input_specs: z.array(Union), output_specs: z.array(Union) }),
  }),
});

/** The list of the tensors of a folder of weights or constants. */
export const PayloadSchema = z.object({
  config: z.record(
    z.string(),
    z.object({
      path_name: z.string(),
      is_param: z.boolean().default(false),
      use_pickle: z.boolean().default(false),
      tensor_meta: TensorMeta.nullish(),
    }),
  ),
});

/**
 * Checks a value, and describes its first fault by its place: "graph_module.graph.nodes.3.inputs: Invalid input: expected array, received
 * string".
 */
export function checked<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  fail: (problem: string) => never,
): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { path = [], message = "" } = result.error.issues[0] ?? {};
  return fail(path.length === 0 ? message : `${path.map(String).join(".").slice(0, 200)}: ${message}`);
}
