/** Places of each class's labels, in their order; classes without any are left out, the others come by number. */
export function membersOf(labels: readonly number[]): number[][] {
  const members = new Map<number, number[]>();
  for (const [i, label] of labels.entries()) {
    const own = members.get(label);
    if (own) own.push(i);
    else members.set(label, [i]);
  }
  return [...members.keys()].sort((a, b) => a - b).map((label) => members.get(label) as number[]);
}

/**
 * Places of `count` images, in their order: the first ones, where these are of as many classes as they can be; else images of all
 * classes by turns, the first of each class first. A folder's images lie class by class, so that its first ones are of one class.
 */
export function placesOfAllClasses(labels: readonly number[], count: number): Int32Array {
  const classes = membersOf(labels);
  const first = Int32Array.from({ length: Math.min(count, labels.length) }, (_, place) => place);
  const seen = new Set(labels.slice(0, first.length)).size;
  if (seen >= Math.min(first.length, classes.length)) return first;
  const longest = Math.max(...classes.map((own) => own.length));
  const byTurns = Array.from({ length: longest }, (_, turn) => classes.flatMap((own) => own[turn] ?? [])).flat();
  return Int32Array.from(byTurns.slice(0, count)).sort();
}
