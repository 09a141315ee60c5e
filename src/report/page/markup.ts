/** Text that is already markup. `markup` inserts it as it is, and escapes everything else. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

/**
 * A value in a `markup` template. For `null` and `undefined` nothing is inserted, and the elements of a list are joined without a
 * separator.
 */
export type MarkupValue = Markup | string | number | null | undefined | readonly MarkupValue[];

/** Template tag for HTML and SVG: every inserted string or number is escaped, unless it is `Markup` itself. */
export function markup(parts: TemplateStringsArray, ...values: MarkupValue[]): Markup {
  let text = parts[0] ?? "";
  values.forEach((value, index) => {
    text += render(value) + (parts[index + 1] ?? "");
  });
  return new Markup(text);
}

function render(value: MarkupValue): string {
  if (value === null || value === undefined) return "";
  if (value instanceof Markup) return value.text;
  if (typeof value === "object") return value.map(render).join("");
  return escapeMarkup(String(value));
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Escapes text for element content and quoted attributes, and drops the control characters and lone surrogates that XML forbids. */
export function escapeMarkup(text: string): string {
  const escaped = text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: XML has no way to write these characters.
  return escaped.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu, "");
}
