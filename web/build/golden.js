// Copies the reference cases that `doctor` names in its source into a folder.
//
//   node web/build/golden.js FOLDER

import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = new URL('../../', import.meta.url).pathname;
const source = readFileSync(join(root, 'src/doctor/mod.rs'), 'utf8');
const files = new Set(Array.from(source.matchAll(/"([\w./-]+\.safetensors)"/g), ([, file]) => file));
if (files.size < 2) throw new Error('src/doctor/mod.rs names no files');
for (const file of files) cpSync(join(root, 'tests/golden/cases', file), join(process.argv[2], file));
