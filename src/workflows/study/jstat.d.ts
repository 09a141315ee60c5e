declare module "jstat" {
  /** The two functions of jStat that are used: its package has no types. */
  const jstat: {
    jStat: {
      /** Regularised incomplete beta function. */
      ibeta(x: number, a: number, b: number): number;
      studentt: { inv(p: number, degreesOfFreedom: number): number };
    };
  };
  export default jstat;
}
