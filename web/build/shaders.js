// Writes shaders.json into a package's folder: the shaders that a wasm file names in angle brackets instead of having their text,
// without comments and indentation.
//
//   node web/build/shaders.js FILE.wasm FOLDER        writes FOLDER/shaders.json for the built FILE.wasm

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = new URL('../../', import.meta.url).pathname;
const [file, folder] = process.argv.slice(2);
const place = (name) => join(root, 'shaders', `${name}.wgsl`);
// WGSL has types in such brackets, so what is no file is none of them.
const named = readFileSync(file, 'latin1').matchAll(/<([\w/]+)>/g);
const names = [...new Set(Array.from(named, ([, name]) => name))].filter((name) => existsSync(place(name))).sort();
if (!names.length) throw new Error(`${file} names no shader that is to be fetched`);
const text = (name) => readFileSync(place(name), 'utf8').replace(/\/\/[^\n]*/g, '').replace(/\s*\n\s*/g, '\n').trimStart();
const { version } = JSON.parse(readFileSync(join(root, 'web/package/package.json'), 'utf8'));
writeFileSync(join(folder, 'shaders.json'), JSON.stringify({ version, shaders: Object.fromEntries(names.map((name) => [name, text(name)])) }));
