import { Markup, markup } from "./markup.ts";

/** A section of a page. The navigation at the top has a link to it. */
export interface Section {
  id: string;
  heading: string;
  body: Markup;
}

/** The input of `renderPage`. */
export interface PageInput {
  title: string;
  /** The content between the title and the links to the sections. */
  lead: Markup;
  sections: readonly Section[];
  /** The style sheet. */
  style: string;
}

/** An HTML page in one file. Its policy forbids scripts and requests. */
export function renderPage({ title, lead, sections, style }: PageInput): string {
  const links = sections.map(({ id, heading }) => markup`<li><a href="#${id}">${heading}</a></li>`);
  const bodies = sections.map(({ id, heading, body }) => {
    return markup`<section id="${id}" aria-labelledby="${id}-heading">
<h2 id="${id}-heading">${heading}</h2>
${body}
</section>
`;
  });
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${new Markup(style)}</style>
</head>
<body>
<header>
<h1>${title}</h1>
${lead}
<nav aria-label="Contents"><ul>${links}</ul></nav>
</header>
<main>
${bodies}</main>
</body>
</html>
`.text;
}
