// Run by npm before it packs: a folder without the built files would make a package that cannot work.

import { existsSync } from 'node:fs';

const wanted = ['index.js', 'engine.js', 'lapidary_web_bg.wasm', 'golden', 'LICENSE-MIT'];
const missing = wanted.filter((name) => !existsSync(new URL(name, import.meta.url)));
if (missing.length) {
  console.error(`lapidary: ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not here: build with scripts/web and pack web/dist/lapidary`);
  process.exit(1);
}
