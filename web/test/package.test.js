// Tests the JavaScript package as a web developer uses it, in a headless Chromium: what its calls return. What they leave behind
// is in memory.test.js.
//
//   node --test web/test/package.test.js        needs the package that scripts/web builds, and the built program `lapidary` (LAPIDARY=FILE names another)

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { serve } from '../build/serve.js';
import { blank, launch } from './browser.js';
import { randomWideResNet } from './checkpoint.js';
import { bmp, png, turned } from './png.js';

const root = new URL('../../', import.meta.url).pathname;
const dist = join(root, 'web/dist');
const program = process.env.LAPIDARY ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'release/lapidary');

let server, url, browser, page, folder;
/** Files by path, answered before those of the folder; a function answers itself. */
const files = new Map();

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lapidary-package-'));
  const answer = (request, response) => {
    const file = files.get(request.url.split('?')[0]);
    if (!file) return blank(request, response);
    if (typeof file === 'function') return file(request, response) ?? true;
    const headers = { 'content-type': file.type ?? 'application/octet-stream', 'content-length': Buffer.byteLength(file.body), etag: file.tag ?? '"1"' };
    response.writeHead(200, headers).end(request.method === 'HEAD' ? undefined : file.body);
    return true;
  };
  ({ server, url } = await serve(dist, 0, answer));
  browser = await launch();
  page = await browser.newPage();
  page.setDefaultTimeout(150_000);
  await page.goto(`${url}blank.html`);
});

after(async () => {
  await browser?.close();
  server?.close();
  server?.closeAllConnections();
  rmSync(folder, { recursive: true });
});

/** Runs `work` in the page with the package and the built-in network's address. */
const inPage = (work, given) =>
  page.evaluate(
    async ([source, given]) => {
      const lapidary = await import('./lapidary/index.js');
      return (0, eval)(`(${source})`)(lapidary, given);
    },
    [work.toString(), given],
  );

test('after dispose every call is refused at once, and a long run holds nothing up', async () => {
  const { told, waited, beside, twice } = await inPage(async ({ load }) => {
    const model = await load('models/fashion-demo.safetensors');
    const other = await load('models/fashion-plain.safetensors', { beside: model });
    const image = new Float32Array(256).fill(0.5);
    const long = model.sample({ classes: [0, 1, 2, 3, 4, 5, 6, 7], steps: 50_000 }).catch((error) => error.name);
    await other.classify(image);
    let began = performance.now();
    await model.dispose();
    const waited = [performance.now() - began];
    const calls = [long, ...['classify', 'logits', 'explain', 'attack'].map((call) => model[call](image, 1))];
    calls.push(model.sample({ classes: [1] }), model.starts(0, 1), model.status(), model.doctor(), model.toy());
    const told = await Promise.all(calls.map((call) => call.then((value) => value, (error) => error.name)));
    const beside = (await other.classify(image)).logits.length;
    const last = other.sample({ classes: [0], steps: 50_000 }).catch((error) => error.name);
    began = performance.now();
    await other.dispose();
    waited.push(performance.now() - began);
    told.push(await last, await other.classify(image).catch((error) => error.name));
    return { told, waited, beside, twice: await other.dispose() };
  });
  console.log(`disposing behind a long sample took ${waited.map((ms) => ms.toFixed(0))} ms`);
  assert.deepEqual(told, Array(12).fill('InvalidStateError'));
  assert.equal(beside, 10);
  assert.equal(twice, undefined);
  assert.ok(waited[0] < 8000 && waited[1] < 1000, `${waited}`);
});

test('a long run without onStep leaves others their turns and hears an abort', async () => {
  const { waited, classified, ended } = await inPage(async ({ load }) => {
    const model = await load('models/fashion-demo.safetensors');
    const stop = new AbortController();
    let over = false;
    const long = model.sample({ classes: [1, 2, 3, 4], steps: 20_000, signal: stop.signal }).catch((error) => error.name).finally(() => (over = true));
    await model.classify(new Float32Array(256));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    // A second one in the middle of it, once its pace is known.
    let began = performance.now();
    await model.classify(new Float32Array(256));
    const waited = [performance.now() - began];
    const classified = !over;
    stop.abort();
    const ended = await long;
    began = performance.now();
    await model.classify(new Float32Array(256));
    waited.push(performance.now() - began);
    await model.dispose();
    return { waited, classified, ended };
  });
  console.log(`a picture amid a long run waited ${waited[0].toFixed(0)} ms, one after its abort ${waited[1].toFixed(0)}`);
  assert.equal(classified, true);
  assert.equal(ended, 'AbortError');
  assert.ok(Math.max(...waited) < 2500, `${waited}`);
});

test('runs that take turns come to the same images as alone', async () => {
  const { alone, together } = await inPage(async ({ load }) => {
    const model = await load('models/fashion-demo.safetensors');
    const settings = (seed) => ({ classes: [1], seed, steps: 12 });
    const alone = [];
    for (const seed of [1, 2]) alone.push([...(await model.sample(settings(seed))).energies]);
    const both = await Promise.all([1, 2].map((seed) => model.sample({ ...settings(seed), onStep() {} })));
    await model.dispose();
    return { alone, together: both.map(({ energies }) => [...energies]) };
  });
  assert.deepEqual(together, alone);
});

test('a list of images is a batch, with labels and targets of its own', async () => {
  const { single, batch, top, aimed, refused, bytes } = await inPage(async ({ load, toImageData }) => {
    const { images, side } = await (await fetch('examples.json')).json();
    const numbers = (text) => Float32Array.from(atob(text), (letter) => letter.charCodeAt(0) / 255);
    const pictures = images.slice(0, 3).map((text) => toImageData(numbers(text), { channels: 1, side }));
    const model = await load('models/fashion-demo.safetensors');
    const plain = ({ before, after, distance }) => [before.class, after.class, distance, after.logits[0]];
    const settings = { eps: 0.5, steps: 5 };
    const single = [];
    for (const picture of pictures) single.push(plain(await model.attack(picture, settings)));
    const batch = (await model.attack(pictures, settings)).map(plain);
    const [{ top }] = await model.classify(pictures, { topK: 2 });
    const aimed = (await model.attack(pictures, { ...settings, eps: 8, target: [7, 8, 9], steps: 20 })).map(({ after }) => after.class);
    const refused = [];
    for (const options of [{ label: [1, 2] }, { label: 1, target: 2 }, { norm: 'l1' }, { epsilon: 1 }]) refused.push(await model.attack(pictures, options).catch((error) => error.message));
    // Bytes are no numbers in [0, 1], whatever they are asked for.
    const image = new Float32Array(256).fill(0.5);
    const byte = image.with(9, 255);
    const calls = [model.classify([image, byte]), model.energy(byte), model.logits(byte), model.attack(byte), model.explain(byte, 3)];
    calls.push(model.sample({ classes: [1], start: byte, steps: 0 }), model.sample({ classes: [1], start: image, seed: 1 }));
    const bytes = await Promise.all(calls.map((call) => call.then(() => 'an answer', ({ name, message }) => `${name}: ${message}`)));
    await model.dispose();
    return { single, batch, top, aimed, refused, bytes };
  });
  assert.equal(batch.length, 3);
  for (const [i, row] of batch.entries()) row.forEach((value, j) => assert.ok(Math.abs(value - single[i][j]) < 1e-3, `${row} and ${single[i]}`));
  assert.equal(top.length, 2);
  assert.equal(top[0].label, 'T-shirt/top');
  assert.ok(top[0].score > top[1].score && top[0].score <= 1);
  assert.deepEqual(aimed, [7, 8, 9]);
  assert.deepEqual(refused, [
    'label: got 2 classes; expected one for each of 3 images', 'label: it has no effect beside target',
    'norm: got l1; expected l2 or linf', 'epsilon: there is no such option',
  ]);
  const outside = (i) => `Mismatch: image ${i} (counted from 0): got 255; expected numbers in [0, 1]`;
  assert.deepEqual(bytes, [outside(1), ...Array(5).fill(outside(0)), 'RangeError: seed: it has no effect beside start']);
});

test('a toy takes points of the unit square with labels of its own', async () => {
  const told = await inPage(async ({ load }) => {
    const model = await load('models/fashion-demo.safetensors');
    const toy = await model.toy({ classes: 2 });
    const points = [0.1, 0.2, 0.9, 0.8];
    const { steps } = await toy.train(points, [0, 1], { steps: 2 });
    const calls = [toy.train(points, [0, 2]), toy.train(points, [0]), toy.train([0.1, 2], [0]), toy.train(points, [0, 1], { step: 5 }), toy.train([], []), model.toy({ classes: 0 }), model.profile({ batch: 2.5 })];
    const told = await Promise.all(calls.map((call) => call.then(() => 'an answer', (error) => error.message)));
    await model.dispose();
    return [steps, ...told];
  });
  assert.deepEqual(told, [
    2, 'label: got 2; expected a whole number from 0 to 1', 'points: got 4 numbers; expected two for each of 1 labels', 'point 0 (counted from 0): got 2; expected numbers in [0, 1]',
    'step: there is no such option', 'points: got 0 numbers; expected two for each of 0 labels', 'classes: got 0; expected a whole number from 1 to 1000', 'batch: got 2.5; expected a whole number from 1 to 64',
  ]);
});

test('a network that overflows is an error, and no class', async () => {
  files.set('/overflow.safetensors', { body: randomWideResNet(10, 1, { channels: 1, side: 16, scale: 3e38 }) });
  const told = await inPage(async ({ load }) => {
    const model = await load('overflow.safetensors', { cache: false });
    const image = new Float32Array(256).fill(0.5);
    const calls = [model.classify(image), model.classify([image, image]), model.logits(image), model.attack(image), model.explain(image, 3), model.sample({ classes: [1], steps: 2 })];
    const told = await Promise.all(calls.map((call) => call.then(() => 'an answer', (error) => error.message)));
    await model.dispose();
    return told;
  });
  for (const message of told) assert.match(message, /finite|NaN|inf/i);
});

test('class names come from the file, and one that does not say its normalisation is refused', async () => {
  const names = ['cat', 'dog', 'Ünïcode & <b>'];
  files.set('/named.safetensors', { body: randomWideResNet(10, 1, { classes: 3, metadata: { class_names: JSON.stringify(names) } }) });
  files.set('/foreign.safetensors', { body: randomWideResNet(10, 1, { foreign: true }) });
  const { about, top, refused, sides } = await inPage(async ({ load }) => {
    const model = await load('named.safetensors', { cache: false });
    const { top } = await model.classify(new Float32Array(3 * 32 * 32));
    const refused = await load('foreign.safetensors', { cache: false, beside: model }).catch(({ name, message }) => ({ name, message }));
    const sides = [];
    for (const side of [32, 64]) sides.push(await load('named.safetensors', { cache: false, beside: model, side }).then(({ about }) => about.side, ({ message }) => message));
    await model.dispose();
    return { about: model.about, top, refused, sides };
  });
  assert.deepEqual(sides, [32, 'side: got 64; expected 32, as the file says']);
  assert.deepEqual(about.classNames, names);
  assert.equal(about.fit, 'crop');
  assert.deepEqual(top.map(({ label }) => label).sort(), [...names].sort());
  assert.equal(refused.name, 'BadFile');
  assert.match(refused.message, /does not say how images are normalised/);
  // The program says the same.
  const file = join(folder, 'foreign.safetensors');
  writeFileSync(file, files.get('/foreign.safetensors').body);
  const answer = spawnSync(program, ['classify', '--checkpoint', file, file], { encoding: 'utf8', env: { NODEVICE_SELECT: '1', ...process.env } });
  assert.match(answer.stderr, /does not say how images are normalised/);
});

test('images of 224 pixels are explained to the end', async () => {
  files.set('/large.safetensors', { body: randomWideResNet(10, 1, { side: 224, scale: 0.001 }) });
  const { distance, length } = await inPage(async ({ load }) => {
    const model = await load('large.safetensors', { cache: false });
    const { distance, difference } = await model.explain(new Float32Array(3 * 224 * 224).fill(0.5), 1, { eps: 1, steps: 1, stepSize: 1 });
    await model.dispose();
    return { distance, length: difference.length };
  });
  assert.equal(length, 3 * 224 * 224);
  assert.ok(distance > 0 && distance < 1.01, `${distance}`);
});

test('ten odd pictures have the logits that the program gives them', async () => {
  const colour = (width, height, channels = 3) =>
    Uint8Array.from({ length: width * height * channels }, (_, i) => {
      const [at, c] = [Math.floor(i / channels), i % channels];
      const [x, y] = [at % width, Math.floor(at / width)];
      return [x * 7, y * 11, (x * y) % 251, 255][c] & 255;
    });
  const alpha = (pixels, of) => (pixels.forEach((_, i) => i % 4 === 3 && (pixels[i] = of((i - 3) / 4))), pixels);
  const jpeg = Buffer.from(
    await page.evaluate(async () => {
      const canvas = new OffscreenCanvas(64, 48);
      const context = canvas.getContext('2d');
      const shade = context.createLinearGradient(0, 0, 64, 24);
      shade.addColorStop(0, '#103050');
      shade.addColorStop(1, '#f0e0a0');
      context.fillStyle = shade;
      context.fillRect(0, 0, 64, 48);
      const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: 'image/jpeg', quality: 1 })).arrayBuffer());
      return btoa(String.fromCharCode(...bytes));
    }),
    'base64',
  );
  const deep = Buffer.alloc(30 * 30 * 6);
  colour(30, 30).forEach((value, i) => deep.writeUInt16BE(257 * value, 2 * i));
  // Beside each how far its pixels may be apart: by how decoders round what is not stored in 8 bits and without loss.
  const EXACT = 1e-3;
  const ROUNDED = 0.02;
  const pictures = {
    'grey.png': [png(colour(28, 28, 1), 28, 28), EXACT],
    'photo.png': [png(colour(640, 480), 640, 480, { channels: 3 }), EXACT],
    'wide.png': [png(colour(300, 21), 300, 21, { channels: 3 }), EXACT],
    'tall.png': [png(colour(9, 257, 1), 9, 257), EXACT],
    'tiny.png': [png(Uint8Array.of(200, 40, 90), 1, 1, { channels: 3 }), EXACT],
    'clear.png': [png(alpha(colour(48, 40, 4), (at) => (at % 48 < 20 ? 0 : 255)), 48, 40, { channels: 4 }), EXACT],
    'misty.png': [png(alpha(colour(48, 40, 4), (at) => 5 * (at % 48)), 48, 40, { channels: 4 }), ROUNDED],
    'deep.png': [png(deep, 30, 30, { channels: 3, depth: 16 }), ROUNDED],
    'really_a_bmp.png': [bmp(colour(33, 20), 33, 20), EXACT],
    'turned.jpg': [turned(jpeg, 6), ROUNDED],
  };
  const network = join(folder, 'colour.safetensors');
  writeFileSync(network, randomWideResNet(10, 1, { scale: 1 }));
  files.set('/colour.safetensors', { body: readFileSync(network) });
  const paths = Object.entries(pictures).map(([name, [bytes]]) => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  });
  for (const [source, checkpoint] of [['models/fashion-demo.safetensors', []], ['colour.safetensors', ['--checkpoint', network]]]) {
    const env = { NODEVICE_SELECT: '1', ...process.env };
    const wanted = JSON.parse(execFileSync(program, ['classify', '--json', ...checkpoint, ...paths], { env }));
    const shown = await inPage(
      async ({ load }, { source, texts }) => {
        const model = await load(source, { cache: false });
        const made = texts.map(([name, text]) => new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], name));
        const readings = await model.classify(made);
        // As a developer has it: an element of the page, in place of the file.
        const image = await createImageBitmap(made[1]);
        const [again] = (await model.classify(image)).logits;
        await model.dispose();
        return { logits: readings.map(({ logits }) => [...logits]), again };
      },
      { source, texts: Object.entries(pictures).map(([name, [bytes]]) => [name, bytes.toString('base64')]) },
    );
    for (const [i, [name, [, near]]] of Object.entries(pictures).entries()) {
      const { logits } = wanted[i];
      const scale = Math.max(...logits.map(Math.abs));
      const apart = Math.max(...logits.map((logit, j) => Math.abs(logit - shown.logits[i][j]))) / scale;
      console.log(`${source} ${name}: logits up to ${scale.toFixed(1)}, apart by ${apart.toExponential(1)} of that`);
      assert.ok(apart < near, `${name}\n${shown.logits[i]}\n${logits}`);
    }
    assert.ok(Math.abs(shown.again - shown.logits[1][0]) < 1e-3);
  }
});

test('what is no picture, or too large, is told in words', async () => {
  const told = await inPage(async ({ load }) => {
    const model = await load('models/fashion-demo.safetensors');
    const word = (error) => `${error.name}: ${error.message}`;
    const text = await model.classify(new File(['no picture'], 'notes.txt')).catch(word);
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9000" height="9000"><rect width="9" height="9"/></svg>';
    const image = Object.assign(new Image(), { src: `data:image/svg+xml,${encodeURIComponent(svg)}` });
    await image.decode();
    const large = await model.classify(image).catch(word);
    await model.dispose();
    return [text, large];
  });
  assert.match(told[0], /^BadPicture: notes\.txt: this browser cannot read it as a picture/);
  assert.match(told[1], /^BadPicture: the picture has 9000×9000 pixels, but at most 64 million are read/);
});

test('networks loaded at once in the page’s thread leave the browser as it was', async () => {
  const { same, devices } = await inPage(async ({ load }) => {
    const before = GPUAdapter.prototype.requestDevice;
    const models = await Promise.all([1, 2, 3].map(() => load('models/fashion-demo.safetensors', { worker: false })));
    const devices = new Set(models.map(({ device }) => device)).size;
    await Promise.all(models.map((model) => model.classify(new Float32Array(256))));
    await Promise.all(models.map((model) => model.dispose()));
    return { same: GPUAdapter.prototype.requestDevice === before, devices };
  });
  assert.equal(same, true);
  assert.equal(devices, 3);
});

test('it works in a caller’s own worker', async () => {
  files.set('/own.js', {
    type: 'text/javascript',
    body: `import { load } from './lapidary/index.js';
      const model = await load('models/fashion-demo.safetensors');
      const { energies, images } = await model.sample({ classes: [1], seed: 3, steps: 10 });
      const { size } = await model.toBlob(images, { scale: 4 });
      await model.dispose();
      postMessage({ energy: energies[0], size });`,
  });
  const { energy, size } = await page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const worker = new Worker('own.js', { type: 'module' });
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = (event) => reject(new Error(event.message));
      }),
  );
  assert.ok(Number.isFinite(energy) && size > 100, `${energy}, ${size}`);
});

test('a download is written once and goes on where it was cut off; a network that is there works meanwhile', async () => {
  const bytes = Buffer.alloc(30 << 20, 7);
  const ranges = [];
  let free;
  const held = new Promise((resolve) => (free = resolve));
  files.set('/big.safetensors', (request, response) => {
    ranges.push(request.headers.range ?? 'all');
    const from = Number(/\d+/.exec(request.headers.range ?? '0')[0]);
    const headers = { etag: '"big"', 'content-length': bytes.length - from };
    if (from) headers['content-range'] = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
    response.writeHead(from ? 206 : 200, headers);
    if (request.method === 'HEAD') response.end();
    else if (from) held.then(() => response.end(bytes.subarray(from)));
    else response.write(bytes.subarray(0, 20 << 20), () => setTimeout(() => response.destroy(), 300));
  });
  const reading = inPage(async ({ readWeights }) => {
    let written = 0;
    const put = Cache.prototype.put;
    Cache.prototype.put = async function (request, response) {
      written += (await response.clone().arrayBuffer()).byteLength;
      return put.call(this, request, response);
    };
    const address = new URL('big.safetensors', location.href);
    const { bytes, sha256 } = await readWeights(address);
    let cached;
    const again = await readWeights(address, { sha256, onProgress: (progress) => (cached = progress.cached) });
    Cache.prototype.put = put;
    return { length: bytes.length, same: again.sha256 === sha256, written, cached };
  });
  const meanwhile = await inPage(async ({ load }) => {
    const model = await load('models/fashion-demo.safetensors');
    const stop = new AbortController();
    const other = load('big.safetensors', { beside: model, cache: false, signal: stop.signal }).catch((error) => error.name);
    const { energies } = await model.sample({ classes: [1], steps: 3 });
    stop.abort();
    await model.dispose();
    return { energy: energies[0], other: await other };
  });
  assert.ok(Number.isFinite(meanwhile.energy));
  assert.equal(meanwhile.other, 'AbortError');
  free();
  const { length, same, written, cached } = await reading;
  console.log(`${(written / 1e6).toFixed(1)} MB written for ${(length / 1e6).toFixed(1)}; asked for ${ranges}`);
  assert.equal(length, bytes.length);
  assert.ok(same && cached);
  assert.ok(written < 1.01 * length, `${written} bytes written for ${length}`);
  assert.ok(ranges.some((range) => range.startsWith('bytes=')));
});

test('a loss is told by every network that asked for it and is still there', async () => {
  const told = await inPage(async ({ load }) => {
    let told = 0;
    const onLost = () => told++;
    const model = await load('models/fashion-demo.safetensors', { onLost });
    const other = await load('models/fashion-plain.safetensors', { beside: model, onLost });
    await model.dispose();
    await other.loseDevice();
    await other.classify(new Float32Array(256));
    await other.dispose();
    return told;
  });
  assert.equal(told, 1);
});

test('pictures of images are as large as asked for', async () => {
  const sizes = await inPage(async ({ load, toCanvas }) => {
    const model = await load('models/fashion-demo.safetensors');
    const images = new Float32Array(10 * 256).map((_, i) => (i % 256) / 255);
    const canvas = model.toCanvas(images, { scale: 16, columns: 5 });
    const pixel = canvas.getContext('2d').getImageData(15 * 16 + 8, 8, 1, 1).data[0];
    const blob = await createImageBitmap(await model.toBlob(images.subarray(0, 256)));
    const wrong = (() => { try { return toCanvas(new Float32Array(5), { channels: 1, side: 16 }); } catch (error) { return error.name; } })();
    const types = [];
    for (const type of ['image/webp', 'image/tiff']) types.push(await model.toBlob(images, { type }).then((blob) => blob.type, ({ message }) => message));
    await model.dispose();
    return [canvas.width, canvas.height, pixel, blob.width, wrong, ...types];
  });
  assert.deepEqual(sizes, [1280, 512, 15, 16, 'Mismatch', 'image/webp', 'type: this browser cannot write image/tiff']);
});

test('npm packs all of it, and refuses where nothing is built', () => {
  const pack = (folder) => spawnSync('npm', ['pack', '--dry-run', '--json', '--silent'], { cwd: folder, encoding: 'utf8' });
  const packed = pack(join(dist, 'lapidary'));
  assert.equal(packed.status, 0, packed.stderr);
  const names = JSON.parse(packed.stdout)[0].files.map(({ path }) => path);
  for (const name of ['lapidary_web_bg.wasm', 'shaders.json', 'engine.js', 'worker.js', 'index.d.ts', 'golden/models/wrn10_1_eval.safetensors']) assert.ok(names.includes(name), `${name} of ${names}`);
  const sources = spawnSync('npm', ['pack', '--dry-run'], { cwd: join(root, 'web/package'), encoding: 'utf8' });
  assert.notEqual(sources.status, 0);
  assert.match(sources.stderr, /lapidary_web_bg\.wasm.*missing from the package: build with scripts\/web/);
});

test('kernels are measured on request, and the next visit takes what was found', async () => {
  const visit = ({ load }, tune) =>
    (async () => {
      const heard = [];
      const model = await load('models/fashion-demo.safetensors', { tune, tuningBudget: 60, onTuning: (tuning) => heard.push(tuning) });
      const { images } = await model.sample({ classes: [0, 1], steps: 2 });
      const { tuning } = await model.status();
      await model.dispose();
      const stored = await (await caches.open('lapidary-choices-1')).keys();
      return { heard, tuning, images: [...images], stored: stored.length };
    })();
  const off = await inPage(visit, 'off');
  // The browser of the tests has no GPU, so nothing is measured unless it is asked for.
  for (const { heard, tuning } of [off, await inPage(visit)]) assert.deepEqual([heard, tuning], [[], undefined]);
  const first = await inPage(visit, 'on');
  assert.ok(first.heard.length > 0 && first.tuning.answered > 0, JSON.stringify(first.tuning));
  assert.equal(first.stored, 1);
  assert.deepEqual(first.tuning.dropped, []);
  // Nothing is measured twice: what a slow machine does not reach is left to the next visit.
  let again = first;
  for (let visits = 0; again.tuning && visits < 4; visits++) again = await inPage(visit, 'on');
  assert.equal(again.tuning, undefined);
  for (const { images } of [first, again]) {
    const most = Math.max(...images.map((value, i) => Math.abs(value - off.images[i])));
    assert.ok(most < 1e-3, `${most} apart from the static kernels' images`);
  }
  await inPage(async () => {
    const cache = await caches.open('lapidary-choices-1');
    const [entry] = await cache.keys();
    await cache.put(entry, new Response('{"not": "a table"}'));
  });
  const damaged = await inPage(visit, 'on');
  assert.ok(damaged.tuning.answered > 0);
  await assert.rejects(inPage(({ load }) => load('models/fashion-demo.safetensors', { tune: 'always' })), /got always; expected auto, on or off/);
  await assert.rejects(inPage(({ load }) => load('models/fashion-demo.safetensors', { tuningBudget: -1 })), /got -1; expected a number from 0 to 3600/);
});
