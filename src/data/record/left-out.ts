/** Number of file names that a message shows for each kind. */
const SHOWN_NAMES = 3;
/** Number of kinds that a message shows. */
const SHOWN_KINDS = 8;

/** Extensions of image formats that users may expect to work, but that cannot be read. */
const CONVERTIBLE = [".jp2", ".psd", ".tga", ".ppm", ".pgm", ".svg", ".ico"] as const;

/** Kinds of files that are not described by an extension, with their plurals. */
const PLURALS = {
  hidden: "hidden",
  "without extension": "without extension",
  link: "links",
  "broken link": "broken links",
  "link to a folder that contains it": "links to folders that contain them",
  "pipe, socket or device": "pipes, sockets or devices",
  "image outside the folders": "images outside the folders",
  "file outside the folders": "files outside the folders",
} as const;

/** A kind of file: an extension with its dot, or a key of `PLURALS`. */
export type LeftOutKind = keyof typeof PLURALS | `.${string}`;

/** Counts the files that the listing of a folder leaves out, by kind. */
export class LeftOut {
  private readonly kinds = new Map<LeftOutKind, { count: number; names: string[] }>();

  /**
   * Counts a file.
   * @param name name of the file, given if messages about this kind should name its files
   */
  add(kind: LeftOutKind, name?: string): void {
    const own = this.kinds.get(kind) ?? { count: 0, names: [] };
    own.count++;
    if (name !== undefined && own.names.length < SHOWN_NAMES) own.names.push(name);
    this.kinds.set(kind, own);
  }

  /** Adds the counts of another listing. */
  join(other: LeftOut): void {
    for (const [kind, { count, names }] of other.kinds) {
      const own = this.kinds.get(kind) ?? { count: 0, names: [] };
      own.count += count;
      own.names = [...own.names, ...names].slice(0, SHOWN_NAMES);
      this.kinds.set(kind, own);
    }
  }

  count(kind: LeftOutKind): number {
    return this.kinds.get(kind)?.count ?? 0;
  }

  get isEmpty(): boolean {
    return this.kinds.size === 0;
  }

  /**
   * Describes the files in a clause such as "12 .bmp, 3 links (a/1.png, ...), 2 without extension", with the most
   * frequent kinds first, and adds a remedy for some kinds.
   */
  describe(): string {
    const sorted = [...this.kinds].sort(([a, own], [b, other]) => other.count - own.count || (a < b ? -1 : 1));
    const shown = sorted.slice(0, SHOWN_KINDS).map(([kind, { count, names }]) => {
      const more = count > names.length ? ", ..." : "";
      const noun = count > 1 && Object.hasOwn(PLURALS, kind) ? PLURALS[kind as keyof typeof PLURALS] : kind;
      return `${count} ${noun}${names.length === 0 ? "" : ` (${names.join(", ")}${more})`}`;
    });
    const rest = sorted.slice(SHOWN_KINDS).reduce((sum, [, { count }]) => sum + count, 0);
    const list = [...shown, ...(rest === 0 ? [] : [`${rest} of other kinds`])].join(", ");
    return [list, ...this.remedies()].join("; ");
  }

  private remedies(): string[] {
    const picture = CONVERTIBLE.find((extension) => this.count(extension) > 0);
    return [
      ...(this.count("link") > 0 ? ["--follow-links follows links"] : []),
      ...(picture === undefined ? [] : [`ImageMagick converts pictures: mogrify -format png *${picture}`]),
    ];
  }
}
