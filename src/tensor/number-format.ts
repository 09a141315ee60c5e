// Numbers in Python's formats. Python rounds ties to the even digit, JavaScript away from zero.

/** `f"{value:.{digits}f}"` */
export function decimal(value: number, digits: number): string {
  const magnitude = Math.abs(value);
  // Beyond it toFixed falls back to powers of ten, and there are no decimals to round.
  const text = magnitude >= 1e21 ? BigInt(magnitude).toString() + (digits > 0 ? `.${"0".repeat(digits)}` : "") : "";
  return signOf(value) + (text || rounded(magnitude.toFixed(digits), magnitude.toFixed(digits + 40), digits));
}

/** `f"{value:.{digits}e}"` */
export function exponential(value: number, digits: number): string {
  const magnitude = Math.abs(value);
  const [near = "", exponent = "+0"] = magnitude.toExponential(digits).split("e");
  const [exact = ""] = magnitude.toExponential(digits + 40).split("e");
  return `${signOf(value)}${rounded(near, exact, digits)}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}

const signOf = (value: number) => (value < 0 || Object.is(value, -0) ? "-" : "");

/** The text that JavaScript rounded, or that with the even last digit where the exact digits end in a tie. */
function rounded(near: string, exact: string, digits: number): string {
  const kept = exact.slice(0, exact.indexOf(".") + (digits > 0 ? digits + 1 : 0));
  const tie = /^\.?50*$/.test(exact.slice(kept.length));
  return tie && Number(kept.at(-1)) % 2 === 0 ? kept : near;
}
