// A door of its own: `batch-cam doctor` must run where the engine does not load.
export { type DoctorReport, doctorReport, formatDoctor } from "../engine/doctor.ts";
