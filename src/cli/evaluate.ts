export async function runEvaluate(_: unknown): Promise<"done"> { return "done"; }
