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
