import { z } from "zod";
import { defineCommand } from "../command.ts";

const DoctorConfig = z.strictObject({
  json: z.boolean().default(false).describe("print the report as JSON"),
});

export const doctorCommand = defineCommand({
  name: "doctor",
  summary: "Print what batch-cam finds on this machine: libtorch, processor, threads, GPU, data.",
  config: DoctorConfig,
  async run({ config, stdout }) {
    const { doctorReport, formatDoctor } = await import("../../tensor/doctor.ts");
    const report = await doctorReport();
    stdout.write(`${config.json ? JSON.stringify(report, null, 2) : formatDoctor(report).trimEnd()}\n`);
    return "done";
  },
});
