/** The name of the process warnings that are notes: they say what was done, and nobody has to act on them. */
export const NOTE = "BatchCamNote";

/** Tells the user something by a process warning that is marked as a note. */
export function emitNote(text: string): void {
  process.emitWarning(text, NOTE);
}
