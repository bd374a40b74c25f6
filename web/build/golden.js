// Copies the reference cases of the self-test, `doctor`, into a package's folder, and lists their addresses in golden.js there,
// because bundlers find a file only by an address that is written out.
//
//   node web/build/golden.js FOLDER        copies the reference cases into the package's folder FOLDER

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = new URL('../../', import.meta.url).pathname;
const folder = process.argv[2];
const source = readFileSync(join(root, 'src/doctor/mod.rs'), 'utf8');
const files = [...new Set(Array.from(source.matchAll(/"([\w./-]+\.safetensors)"/g), ([, file]) => file))];
if (files.length < 2) throw new Error('src/doctor/mod.rs names fewer than two .safetensors files to copy');
mkdirSync(join(folder, 'golden'), { recursive: true });
for (const file of files) cpSync(join(root, 'tests/golden/cases', file), join(folder, 'golden', file));
const entries = files.map((file) => `  '${file}': new URL('./golden/${file}', import.meta.url),\n`);
writeFileSync(join(folder, 'golden.js'), `// The addresses of the reference cases, each written out for bundlers.\nexport const GOLDEN = {\n${entries.join('')}};\n`);
