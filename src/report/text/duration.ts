/** A time, with less precision the longer it is: `42 s`, `2 min 5 s`, `12 min`, `1 h 12 min`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "an unknown time";
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (whole < 600) return withRest(Math.floor(whole / 60), "min", whole % 60, "s");
  return minutes < 60 ? `${minutes} min` : withRest(Math.floor(minutes / 60), "h", minutes % 60, "min");
}

const withRest = (count: number, unit: string, rest: number, smaller: string): string =>
  rest === 0 ? `${count} ${unit}` : `${count} ${unit} ${rest} ${smaller}`;
