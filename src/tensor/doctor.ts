// This is a separate entry because `batch-cam doctor` must run even if the engine does not load.
export { type DoctorReport, doctorReport, formatDoctor } from "../engine/doctor.ts";
