// Tests networks of ImageNet's size in the page: a ResNet-50 and a ConvNeXt-T of random weights classify a photograph as the
// program does. The networks have a hundred megabytes each and take minutes on a CPU, so CI does not run this.
//
//   node --test web/test/large.test.js          needs the package that scripts/web builds, and the built program `lapidary` (LAPIDARY=FILE names another)

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { serve } from '../build/serve.js';
import { blank, launch } from './browser.js';
import { randomConvNextTiny, randomResNet50 } from './checkpoint.js';
import { png } from './png.js';

const root = new URL('../../', import.meta.url).pathname;
const program = process.env.LAPIDARY ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'release/lapidary');
const WAIT = 500_000;

let server, url, browser, page, folder, photo;
const files = new Map();

/** Soft blobs of colour with fine noise, of a photograph's shape. */
function picture(width, height) {
  const pixels = Buffer.alloc(3 * width * height);
  let state = 1;
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [(i % width) / width, Math.floor(i / width) / height];
    for (let c = 0; c < 3; c++) {
      state = (state * 48271) % 0x7fffffff;
      const soft = Math.sin(7 * x + 2 * c) * Math.cos(5 * y - c) + Math.sin(3 * (x + y) * (c + 1));
      pixels[3 * i + c] = Math.round(Math.min(255, Math.max(0, 128 + 55 * soft + 20 * (state / 0x7fffffff - 0.5))));
    }
  }
  return png(pixels, width, height, { channels: 3 });
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lapidary-large-'));
  photo = join(folder, 'photo.png');
  writeFileSync(photo, picture(400, 300));
  const answer = (request, response) => {
    if (!files.has(request.url)) return blank(request, response);
    response.writeHead(200).end(files.get(request.url));
    return true;
  };
  ({ server, url } = await serve(join(root, 'web/dist'), 0, answer));
  browser = await launch();
  page = await browser.newPage();
  page.setDefaultTimeout(WAIT);
  await page.goto(`${url}blank.html`);
});

after(async () => {
  await browser?.close();
  server?.close();
  server?.closeAllConnections();
  rmSync(folder, { recursive: true });
});

for (const [name, made] of [['ResNet-50', randomResNet50], ['ConvNeXt-T', randomConvNextTiny]]) {
  test(`a ${name} has the program's logits`, { timeout: WAIT }, async () => {
    const path = join(folder, `${name}.safetensors`);
    writeFileSync(path, made());
    files.set(`/${name}.safetensors`, readFileSync(path));
    files.set('/photo.png', readFileSync(photo));
    const { logits, architecture, ms } = await page.evaluate(async (name) => {
      const { load } = await import('./lapidary/index.js');
      const model = await load(`${name}.safetensors`, { cache: false });
      const blob = await (await fetch('photo.png')).blob();
      const began = performance.now();
      const { logits } = await model.classify(blob);
      const ms = performance.now() - began;
      await model.dispose();
      return { logits: [...logits], architecture: model.about.architecture, ms };
    }, name);
    const env = { NODEVICE_SELECT: '1', ...process.env };
    const [wanted] = JSON.parse(execFileSync(program, ['classify', '--json', '--checkpoint', path, photo], { env }));
    const scale = Math.max(...wanted.logits.map(Math.abs));
    const apart = Math.max(...wanted.logits.map((logit, i) => Math.abs(logit - logits[i])));
    console.log(`${architecture}: ${wanted.logits.length} logits up to ${scale.toFixed(2)}, apart by ${apart.toExponential(1)}; ${(ms / 1000).toFixed(1)} s in the page`);
    assert.ok(logits.length === 1000 && scale > 0.1);
    assert.ok(apart < 1e-4 * Math.max(1, scale));
  });
}
