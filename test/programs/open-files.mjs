// Reads an image when the process may open no further file, with an `onError` that leaves bad images out: `node open-files.mjs FILE`.
// Prints the error's code, and how many images were left out, as one line of JSON.
import { closeSync, openSync } from "node:fs";
import { readImages } from "batch-cam/data";

const [file] = process.argv.slice(2);
let left = 0;
const read = async () => {
  for await (const _ of readImages([file], { channels: 3, onError: () => left++ }));
};
await read(); // loads all that is loaded on demand
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
