// Blanks in a wasm file's data what no browser needs. All other data stays where it is, as lengths do not change.
//
//   node web/build/shrink.js FILE.wasm        changes FILE.wasm in place
//
// - Of our shaders comments, indentation and empty lines: what is left moves together, and spaces follow.
// - The comments of the shaders of others.
// - The names of the source files in which code may panic: a browser's console is told of a trap alone.

import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const DATA = 11;
const root = new URL('../../', import.meta.url).pathname;
const file = process.argv[2];
const bytes = readFileSync(file);
const blank = (text) => ' '.repeat(text.length);

const shaders = readdirSync(join(root, 'shaders'), { recursive: true }).filter((name) => name.endsWith('.wgsl'));
const texts = shaders.map((name) => readFileSync(join(root, 'shaders', name), 'latin1')).sort((a, b) => b.length - a.length);
const shortened = (text) => text.replace(/\/\/[^\n]*/g, '').replace(/\s*\n\s*/g, '\n').padEnd(text.length);

const registry = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'registry/src/').replace(/[^\w/]/g, '\\$&');
// Text of another kind may stand before a name without a gap, so it begins with what is known.
const names = new RegExp(`(?:/rustc/|/rust/deps/|${registry}|src/)[\\w./@+-]*?\\.rs(?![\\w-]*/)`, 'g');

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
    let text = bytes.toString('latin1', start, start + length);
    for (const shader of texts) text = text.replaceAll(shader, () => shortened(shader));
    // Anywhere with a space behind the slashes, which addresses have not; alone in a line without.
    text = text.replace(/\/\/ [^\x00-\x1f]*(?=\n)|(?<=\n *)\/\/[^\x00-\x1f]*(?=\n)/g, blank).replace(names, blank);
    bytes.write(text, start, 'latin1');
  }
  at = start + length;
}
writeFileSync(file, bytes);
