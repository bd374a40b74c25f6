// Blanks the comments of the shaders that lie in a wasm file's data: a third of their text, which no browser needs. All
// stays where it is, as lengths do not change.
//
//   node web/build/shrink.js FILE.wasm

import { readFileSync, writeFileSync } from 'node:fs';

const DATA = 11;
const file = process.argv[2];
const bytes = readFileSync(file);

function number(at) {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value += (byte & 127) * 2 ** shift;
    if (byte < 128) return [value, at];
  }
}

for (let at = 8; at < bytes.length; ) {
  const [length, start] = number(at + 1);
  if (bytes[at] === DATA) {
    const text = bytes.toString('latin1', start, start + length);
    // Anywhere with a space behind the slashes, which addresses have not; alone in a line without.
    const blank = text.replace(/\/\/ [^\x00-\x1f]*(?=\n)|(?<=\n *)\/\/[^\x00-\x1f]*(?=\n)/g, (comment) => ' '.repeat(comment.length));
    bytes.write(blank, start, 'latin1');
  }
  at = start + length;
}
writeFileSync(file, bytes);
