// npm runs this before it packs the package: it fails where built files are missing, without which the package cannot work.

import { existsSync } from 'node:fs';

const wanted = ['index.js', 'engine.js', 'lapidary_web_bg.wasm', 'shaders.json', 'golden', 'LICENSE-MIT'];
const missing = wanted.filter((name) => !existsSync(new URL(name, import.meta.url)));
if (missing.length) {
  console.error(`lapidary: ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing from the package: build with scripts/web and pack web/dist/lapidary`);
  process.exit(1);
}
