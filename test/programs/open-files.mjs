// Reads an image when the process cannot open another file, with an `onError` that skips bad images: `node open-files.mjs FILE`. It prints
// the error's code and the number of skipped images as one line of JSON.
import { closeSync, openSync } from "node:fs";
import { readImages } from "batch-cam/data";

const [file] = process.argv.slice(2);
let left = 0;
const read = async () => {
  for await (const _ of readImages([file], { channels: 3, onError: () => left++ }));
};
await read(); // loads modules that are loaded on first use
const held = [];
try {
  for (;;) held.push(openSync("/dev/null", "r"));
} catch {}
const code = await read().then(
  () => "none",
  (error) => error.code,
);
for (const handle of held) closeSync(handle);
console.log(JSON.stringify({ code, left }));
