// Prints the size and SHA-256 of each checkpoint in a folder, as JSON, by which the page checks its downloads.
//
//   node web/build/manifest.js FOLDER        prints the sizes and hashes of the checkpoints in FOLDER

import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.argv[2];
const files = readdirSync(folder).filter((name) => name.endsWith('.safetensors')).sort();
const about = files.map((name) => {
  const bytes = readFileSync(join(folder, name));
  return [name, { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }];
});
console.log(JSON.stringify(Object.fromEntries(about), null, 2));
