import { Markup, markup } from "./markup.ts";

/** A part of a formula: markup is inserted unchanged, a number becomes a number, a word a name, and anything else an operator. */
export type Term = Markup | string | number;

/** A formula on a line of its own. `alt` is its plain text, for readers without MathML. */
export function formula(alt: string, ...terms: Term[]): Markup {
  return markup`<div class="formula" tabindex="0"><math displaystyle="true" alttext="${alt}">${row(...terms)}</math></div>`;
}

/** Terms in a row. */
export function row(...terms: Term[]): Markup {
  return markup`<mrow>${terms.map(token)}</mrow>`;
}

/** Subscript. */
export function sub(base: Term, index: Term): Markup {
  return markup`<msub>${token(base)}${token(index)}</msub>`;
}

/** Superscript. */
export function sup(base: Term, index: Term): Markup {
  return markup`<msup>${token(base)}${token(index)}</msup>`;
}

/** Subscript and superscript. */
export function both(base: Term, below: Term, above: Term): Markup {
  return markup`<msubsup>${token(base)}${token(below)}${token(above)}</msubsup>`;
}

/** An operator with its range below, such as a sum. */
export function over(operator: Term, range: Term): Markup {
  return markup`<munder>${token(operator)}${token(range)}</munder><mspace width="0.2em"/>`;
}

/** Fraction. */
export function frac(top: Term, bottom: Term): Markup {
  return markup`<mfrac>${token(top)}${token(bottom)}</mfrac>`;
}

/** A named function or index of several letters, upright. */
export function word(text: string): Markup {
  return markup`<mi mathvariant="normal">${text}</mi>`;
}

/** A function such as max, with a small space before its argument. */
export function operator(name: string): Markup {
  return markup`${word(name)}<mspace width="0.2em"/>`;
}

function token(term: Term): Markup {
  if (term instanceof Markup) return term;
  if (typeof term === "number" || /^[\d.]+$/.test(term)) return markup`<mn>${term}</mn>`;
  if (/^\p{Letter}$/u.test(term)) return markup`<mi>${term}</mi>`;
  return /^\p{Letter}[\p{Letter}\d]*$/u.test(term) ? word(term) : markup`<mo>${term}</mo>`;
}
