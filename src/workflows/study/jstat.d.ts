declare module "jstat" {
  /** Types for the two functions of jStat that are used, because its package has none. */
  const jstat: {
    jStat: {
      /** The regularised incomplete beta function. */
      ibeta(x: number, a: number, b: number): number;
      studentt: { inv(p: number, degreesOfFreedom: number): number };
    };
  };
  export default jstat;
}
