// Tests how a visit goes, in a headless Chromium: what comes first and whether anything moves, that what is shown belongs together,
// that the accessibility rules hold in all states of the page, and what becomes of files of all kinds that are dropped on it.
//
//   node --test web/test/visit.test.js          needs the package that scripts/web builds

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { serve } from '../build/serve.js';
import { launch } from './browser.js';
import { randomWideResNet } from './checkpoint.js';
import { greyPng, png, turned } from './png.js';

const root = new URL('../../', import.meta.url).pathname;
const dist = join(root, 'web/dist');
const axe = readFileSync(join(root, 'web/node_modules/axe-core/axe.min.js'), 'utf8');
const own = join(dist, 'models/fashion-demo.safetensors');

const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

let server, url, browser, folder;
const problems = [];

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lapidary-visit-'));
  ({ server, url } = await serve(dist));
  browser = await launch();
});

after(async () => {
  await browser?.close();
  server?.close();
  server?.closeAllConnections();
  rmSync(folder, { recursive: true });
  assert.deepEqual(problems, []);
});

async function open(address, { viewport = SIZES.desktop, script } = {}) {
  const opened = await browser.newPage({ viewport });
  opened.setDefaultTimeout(150_000);
  opened.on('pageerror', (error) => problems.push(String(error)));
  opened.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  if (script) await opened.addInitScript(script);
  await opened.goto(address);
  return opened;
}

const sampled = (page, count = 0) => page.waitForFunction((count) => Number(document.documentElement.dataset.sampled ?? 0) > count, count);
const said = (page, id, words) => page.waitForFunction(([id, words]) => new RegExp(words).test(document.getElementById(id).textContent), [id, words]);

/** Lets files fall on an element, as a visitor does it. */
async function drop(page, selector, ...paths) {
  await page.locator(selector).scrollIntoViewIfNeeded();
  const { x, y } = await page.locator(selector).boundingBox();
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: paths, dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop']) await session.send('Input.dispatchDragEvent', { type, x: x + 20, y: y + 20, data });
  await session.detach();
}

function write(name, bytes) {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** The rules, in both colour schemes and sizes. */
async function accessible(page, state) {
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe);
  for (const colorScheme of ['light', 'dark']) {
    for (const viewport of Object.values(SIZES)) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), [], `${state}, ${colorScheme}, ${viewport.width} pixels wide`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${state}: ${wide} pixels beyond the window`);
    }
  }
  await page.setViewportSize(SIZES.desktop);
}

for (const [name, viewport] of Object.entries(SIZES)) {
  test(`the words come before what is large, and nothing moves when it comes: ${name}`, async () => {
    const script = `globalThis.moved = 0;
      new PerformanceObserver((list) => list.getEntries().forEach((each) => (moved += each.value))).observe({ type: 'layout-shift', buffered: true });`;
    const page = await open(`${url}?steps=10&class=all`, { viewport, script });
    await sampled(page);
    const { moved, painted, large } = await page.evaluate(() => ({
      moved: globalThis.moved,
      painted: performance.getEntriesByName('first-contentful-paint')[0].startTime,
      large: performance.getEntriesByType('resource').filter(({ name }) => /\.(wasm|safetensors)$/.test(name)).map(({ startTime }) => startTime),
    }));
    console.log(`words after ${painted.toFixed(0)} ms, wasm asked for after ${Math.min(...large).toFixed(0)}; layout shifts ${moved.toFixed(4)}`);
    // A page whose words take longer than a second does not wait for them.
    assert.ok(Math.min(...large) > Math.min(painted, 900), `${large} and ${painted}`);
    assert.ok(moved < 0.01, `${moved}`);
    await page.close();
  });
}

test('opening the file that a link asks for draws with it', async () => {
  const page = await open(`${url}?file=mine.safetensors&class=2&seed=1&steps=3&size=0.8`);
  await said(page, 'draw-state', '^The network of this link is not here');
  await page.setInputFiles('#checkpoint-file', { name: 'mine.safetensors', mimeType: '', buffer: readFileSync(own) });
  await sampled(page);
  assert.match(await page.textContent('#draw-state'), /^pullover: energy from .* in 3 steps\.$/);
  assert.equal(await page.$eval('#draw-state', (state) => state.classList.contains('bad')), false);
  await page.close();
});

test('without a GPU nothing is offered that needs one', async () => {
  const page = await open(url, { script: 'Object.defineProperty(Navigator.prototype, "gpu", { get: () => undefined })' });
  await said(page, 'draw-state', '^Recorded\\. 10 images: mean energy from .* in 30 steps\\.$');
  const shown = await page.$$eval('button, input, select, [tabindex="0"]', (all) => all.filter((each) => each.checkVisibility() && !each.closest('[inert]')).map((each) => each.id));
  assert.deepEqual(shown.filter((id) => id).sort(), ['export-gif', 'export-png', 'export-trajectory', 'play', 'scrub', 'smooth', 'step']);
  await accessible(page, 'recorded');
  await page.close();
});

test('a picture that cannot be read leaves nothing of the one before; a cleared pad is black', async () => {
  const page = await open(`${url}?steps=1&class=1`);
  await sampled(page);
  await page.click('#examples button:nth-child(2)');
  await page.waitForFunction(() => document.querySelector('#posterior .best')?.textContent === 'trouser');
  const white = write('white.png', greyPng(Buffer.alloc(900, 255), 30, 30));
  const pressed = () => page.$$eval('#examples [aria-pressed=true]', (all) => all.length);
  assert.equal(await pressed(), 1);
  await drop(page, '#drop', white);
  await page.waitForFunction(() => /percent/.test(document.getElementById('image-state').textContent) && !document.querySelector('#examples [aria-pressed=true]'));
  const bright = () => page.$eval('#pad', (pad) => pad.getContext('2d').getImageData(112, 112, 1, 1).data[0]);
  assert.equal(await bright(), 255);
  await page.click('#clear-pad');
  assert.equal(await bright(), 0);
  await drop(page, '#drop', white);
  await page.waitForFunction(() => document.getElementById('pad').getContext('2d').getImageData(112, 112, 1, 1).data[0] === 255);
  await drop(page, '#drop', write('notes.txt', 'no picture'));
  await said(page, 'image-state', '^notes\\.txt: this browser cannot read it as a picture$');
  assert.deepEqual([await bright(), await page.$$eval('#posterior .bars, #posterior table', (all) => all.length)], [0, 0]);
  assert.equal(await page.textContent('#seen-size'), 'The network sees nothing yet.');
  await page.close();
});

/** In the page: the longest time that its thread is not free, until `stop` is called. */
const WATCH = `globalThis.watch = () => {
  let [longest, last, on] = [0, performance.now(), true];
  const look = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (on) setTimeout(look, 5);
  };
  look();
  return () => ((on = false), longest);
};`;

test('files of all kinds give a picture, a network or one sentence, and the page stays free', async () => {
  const page = await open(`${url}?steps=1&class=1`, { script: WATCH });
  await sampled(page);
  const small = greyPng(Buffer.alloc(900, 99), 30, 30);
  const lying = Buffer.from(small);
  lying.writeUInt32BE(60_000, 16);
  lying.writeUInt32BE(60_000, 20);
  // Blue on the left and red on the right, or turned, red below.
  const sides = await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(900, 600);
    const context = canvas.getContext('2d');
    for (const [colour, x] of [['#00f', 0], ['#f00', 450]]) {
      context.fillStyle = colour;
      context.fillRect(x, 0, 450, 600);
    }
    return btoa(String.fromCharCode(...new Uint8Array(await (await canvas.convertToBlob({ type: 'image/jpeg' })).arrayBuffer())));
  });
  const weights = readFileSync(own);
  const infinite = Buffer.from(weights);
  infinite.fill(255, infinite.length - 4000);
  const header = (bytes, text) => Buffer.concat([Buffer.from(new BigUint64Array([bytes]).buffer), Buffer.from(text)]);
  const unread = (name) => `^${name.replace('.', '\\.')}: this browser cannot read it as a picture$`;
  const percent = ' \\d+ percent\\.$|^\\S+, \\d+ percent\\.$';
  const pictures = {
    'tall.png': [greyPng(Buffer.alloc(20_000), 1, 20_000), percent],
    'deep.png': [png(Buffer.alloc(5400, 77), 30, 30, { channels: 3, depth: 16 }), percent],
    'clear.png': [png(Buffer.alloc(3600), 30, 30, { channels: 4 }), percent],
    'really_a_gif.png': [Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64'), percent],
    'turned.jpg': [turned(Buffer.from(sides, 'base64'), 6), percent],
    'lying.png': [lying, unread('lying.png')],
    'head.png': [small.subarray(0, 20), unread('head.png')],
    'drawing.svg': ['<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>', unread('drawing.svg')],
    'labels.csv': ['name,class\n', unread('labels.csv')],
    'empty.png': ['', '^empty\\.png: the file is empty\\.$'],
    'huge.png': [greyPng(Buffer.alloc(81e6), 9000, 9000), '^huge\\.png has 9000×9000 pixels, but at most 64 million are read: scale it down first$'],
  };
  const kind = 'it is not a safetensors file, the only kind that a browser reads: `lapidary convert` makes one of a PyTorch or ONNX file$';
  const networks = {
    'model.pth': [Buffer.from('PK\x03\x04 and so on'), `^model\\.pth: ${kind}`],
    'data.npz': [Buffer.from('PK\x03\x04 and so on'), `^data\\.npz: ${kind}`],
    'nothing.safetensors': ['', '^nothing\\.safetensors: an empty file$'],
    'nested.safetensors': [header(16n, '[[[[[[[[[[[[[[[['), `^nested\\.safetensors: ${kind}`],
    'header.safetensors': [header(2n ** 63n - 1n, '{}'), '^header\\.safetensors: it is not a safetensors file: its header would be larger than 100 MB$'],
    'cut.safetensors': [weights.subarray(0, 200_000), '^cut\\.safetensors: .*: cut off at byte \\d+, before its end at byte \\d+$'],
    'nan.safetensors': [infinite, '^nan\\.safetensors: .* is NaN, but weights have to be finite$'],
    'side.safetensors': [Buffer.from(weights.toString('latin1').replace('"side":"16"', '"side":"0" '), 'latin1'), '^side\\.safetensors: metadata: side is 0, not 1 to 16384$'],
    'foreign.safetensors': [randomWideResNet(10, 1, { foreign: true }), 'it does not say how images are normalised: `lapidary convert` writes that into a copy$'],
    'good.safetensors': [weights, '^good\\.safetensors: WRN-10-1, 77,562 weights'],
  };
  // Beside the places for them as well: a file's kind says where it belongs.
  for (const [id, files, places] of [['image-state', pictures, ['#drop', 'h1']], ['checkpoint-state', networks, ['#plane-title', '#checkpoint-title', '#drop']]]) {
    for (const [i, [name, [bytes, words]]] of Object.entries(files).entries()) {
      const path = write(name, bytes);
      await page.evaluate((id) => {
        document.getElementById(id).textContent = '';
        globalThis.stop = globalThis.watch();
      }, id);
      await drop(page, places[i % places.length], path);
      await page.waitForFunction((id) => !/^$|^Reading |kB$/.test(document.getElementById(id).textContent), id);
      const [told, gap] = [await page.textContent(`#${id}`), await page.evaluate(() => globalThis.stop())];
      assert.match(told, new RegExp(words));
      if (gap > 500) console.log(`${name}: ${gap.toFixed(0)} ms`);
      assert.ok(gap < 1500, `${name}: the page was held up for ${gap} ms`);
      if (name !== 'turned.jpg') continue;
      const at = (y) => page.$eval('#pad', (pad, y) => [...pad.getContext('2d').getImageData(112, y, 1, 1).data], y);
      const [above, below] = [await at(40), await at(184)];
      assert.ok(above[2] > 200 && below[0] > 200, `upright the picture is blue above and red below: ${above}, ${below}`);
    }
  }
  await page.close();
});

test('a picture of many pixels among those to be taught keeps the page free', async () => {
  const page = await open(`${url}?steps=1&class=1`, { script: WATCH });
  await sampled(page);
  const large = write('large.png', greyPng(Buffer.alloc(121e6), 11_000, 11_000));
  await page.evaluate(() => (globalThis.stop = globalThis.watch()));
  await drop(page, '.kind >> nth=0', large, write('none.png', 'none'));
  await said(page, 'teach-state', 'cannot read none\\.png as a picture');
  const gap = await page.evaluate(() => globalThis.stop());
  console.log(`${gap.toFixed(0)} ms`);
  assert.equal(await page.locator('.thumb').count(), 1);
  assert.ok(gap < 800, `${gap}`);
  await page.close();
});

test('no violation of accessibility rules in any state of the page, light and dark, wide and narrow', async () => {
  const page = await open(`${url}?steps=3&class=1`);
  await sampled(page);
  await page.click('#examples button:nth-child(2)');
  await page.waitForFunction(() => document.querySelector('#posterior .best')?.textContent === 'trouser');
  await page.click('#explain');
  await said(page, 'explained', 'distance');
  await page.click('#run-attack');
  await page.waitForFunction(() => document.querySelectorAll('#sides .result').length === 2);
  await page.$$eval('details', (all) => all.forEach((each) => (each.open = true)));
  await accessible(page, 'explained and attacked');
  await page.click('#train');
  await page.waitForFunction(() => Number.parseInt(document.getElementById('plane-state').textContent) >= 10);
  await page.click('#train');
  await page.click('#teach-lesson');
  await page.waitForFunction(() => document.querySelectorAll('.thumb').length === 50);
  await page.fill('#teach-steps', '2');
  await page.click('#teach');
  await page.waitForFunction(() => document.documentElement.dataset.taught);
  await accessible(page, 'taught');
  await page.click('#teach-use');
  await sampled(page, 1);
  await page.setInputFiles('#checkpoint-file', { name: 'broken', mimeType: '', buffer: Buffer.from('nothing of use') });
  await said(page, 'checkpoint-state', '^broken: ');
  await drop(page, '#drop', write('none.txt', 'none'));
  await said(page, 'image-state', '^none\\.txt: ');
  await page.click('#run-attack');
  await accessible(page, 'refused');
  await page.close();
});
