// Tests the kernels that pages fetch in shaders.json, in a headless Chromium on SwiftShader. Made to report itself as a GPU, it runs
// the kernels that pages run on real GPUs, and they compute the same as its own. Networks also run where nothing can be fetched.
//
//   node --test web/test/kernels.test.js          needs the package that scripts/web builds

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { serve } from '../build/serve.js';
import { blank, launch } from './browser.js';

const root = new URL('../../', import.meta.url).pathname;
let server, url, browser;

before(async () => {
  ({ server, url } = await serve(join(root, 'web/dist'), 0, blank));
  browser = await launch();
});

after(async () => {
  await browser?.close();
  server?.close();
  server?.closeAllConnections();
});

/** What a page of its own computes: logits, an attack, a training's losses, on a GPU the self-test, and the kernels of a step. */
async function computed({ gpu = false, shaders = true }) {
  const page = await browser.newPage();
  page.setDefaultTimeout(280_000);
  const warnings = [];
  page.on('console', (message) => message.type() === 'warning' && warnings.push(message.text()));
  if (!shaders) await page.route('**/shaders.json', (route) => route.fulfill({ status: 404, body: '' }));
  await page.goto(`${url}blank.html`);
  const told = await page.evaluate(async (gpu) => {
    if (gpu) Object.defineProperty(GPUAdapterInfo.prototype, 'isFallbackAdapter', { get: () => false });
    const { load } = await import('./lapidary/index.js');
    const model = await load('models/fashion-demo.safetensors', { worker: false, tune: 'off' });
    const images = Array.from({ length: 10 }, (_, i) => Float32Array.from({ length: 256 }, (_, at) => 0.5 + 0.5 * Math.sin(at * 0.05 * (i + 1))));
    const { rows } = gpu ? await model.doctor() : { rows: [] };
    const readings = await model.classify(images);
    const attacked = await model.attack(images, { steps: 3 });
    const kernels = (await model.profile({ batch: 8, repetitions: 1 })).map(([kernel]) => kernel);
    const losses = [];
    await model.train({ images, labels: Uint32Array.from(images, (_, i) => i), steps: 3, onStep: ({ loss }) => losses.push(loss) });
    await model.dispose();
    const numbers = [...readings.flatMap(({ logits }) => [...logits]), ...attacked.flatMap(({ image, distance }) => [distance, ...image])];
    return { failed: rows.filter(({ good }) => !good), checks: rows.length, numbers, losses, kernels: [...new Set(kernels)] };
  }, gpu);
  await page.close();
  return { ...told, warnings };
}

const farthest = (a, b) => Math.max(...a.map((value, i) => Math.abs(value - b[i])));

test('on a GPU pages run the kernels of whole workgroups, which compute what the others do', async () => {
  const cpu = await computed({});
  const gpu = await computed({ gpu: true });
  assert.ok(gpu.kernels.some((name) => name.startsWith('conv2d_block')), `${gpu.kernels}`);
  assert.ok(cpu.kernels.some((name) => name.startsWith('conv2d_tall')), `${cpu.kernels}`);
  assert.deepEqual(gpu.failed, []);
  assert.ok(gpu.checks > 4);
  assert.deepEqual([...cpu.warnings, ...gpu.warnings], []);
  assert.ok(farthest(cpu.numbers, gpu.numbers) < 1e-3, `${farthest(cpu.numbers, gpu.numbers)}`);
  assert.equal(gpu.losses.length, 3);
  assert.ok(farthest(cpu.losses, gpu.losses) < 1e-3, `${cpu.losses} and ${gpu.losses}`);
});

test('without the fetched kernels networks run on those that are there, and the console says so', async () => {
  const { kernels, losses, warnings } = await computed({ shaders: false });
  assert.equal(losses.length, 3);
  assert.ok(kernels.every((name) => !/tall|block|gemm/.test(name)), `${kernels}`);
  assert.match(warnings.join('\n'), /networks are slower without shaders\.json: the server answers 404/);
});

test('a file of another version is refused with the reason, as is what is no such file', async () => {
  const { version } = JSON.parse(readFileSync(join(root, 'web/dist/lapidary/shaders.json')));
  for (const [body, reason] of [
    ['<!doctype html>', /got a text that is no JSON \(.*\); expected a file that scripts\/web made/],
    [JSON.stringify({ version: '0.0.1', shaders: {} }), /got shaders of version "0\.0\.1"; expected those of \d/],
    [JSON.stringify({ version }), /got none; expected an object `shaders`/],
  ]) {
    const page = await browser.newPage();
    const warnings = [];
    page.on('console', (message) => message.type() === 'warning' && warnings.push(message.text()));
    await page.route('**/shaders.json', (route) => route.fulfill({ body }));
    await page.goto(`${url}blank.html`);
    await page.evaluate(async () => {
      const { load } = await import('./lapidary/index.js');
      await (await load('models/fashion-demo.safetensors', { worker: false, tune: 'off' })).dispose();
    });
    await page.close();
    assert.equal(warnings.length, 1, `${warnings}`);
    assert.match(warnings[0], /^lapidary: networks are slower without shaders\.json: /);
    assert.match(warnings[0], reason);
  }
});
