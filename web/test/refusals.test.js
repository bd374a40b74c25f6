// Tests, without a browser, what the JavaScript package refuses (with an error, instead of giving a wrong number), and what the
// page says of a network that a link cannot carry.
//
//   node --test web/test/refusals.test.js        needs the package that scripts/web builds

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Engine } from '../dist/lapidary/engine.js';
import { Model } from '../package/model.js';
import { toBlob, toCanvas } from '../package/picture.js';
import { train } from '../package/train.js';
import { readWeights } from '../package/weights.js';
import { code, search } from '../page/code.js';

test('numbers outside [0, 1] are no image', () => {
  const model = new Model(new Uint8Array(), 'some', undefined);
  model.about = { channels: 1, side: 2 };
  model.expect(Float32Array.of(0, 0.5, 1, -0), 1);
  for (const wrong of [255, 1.01, -0.5, NaN, Infinity]) {
    const images = Float32Array.of(0, 0, 0, 0, 1, 1, wrong, 400);
    const message = `image 1 (counted from 0): got ${images[6]}; expected numbers in [0, 1]`;
    assert.throws(() => model.expect(images, 2), { name: 'Mismatch', message });
  }
  // Of a list each image is looked at alone, and named by its place.
  assert.throws(() => model.expect(Float32Array.of(0, 0, 2, 0), 1, 7), /^Mismatch: image 7 \(counted from 0\): got 2;/);
});

test('load refuses words that it does not know, and options of a shared device that it does not have', async () => {
  const bytes = new Uint8Array(8);
  const told = (options, engine = new Engine()) => engine.load(bytes, options).then(() => 'loaded', ({ name, message }) => `${name}: ${message}`);
  assert.equal(await told({ device: 'fast' }), 'RangeError: device: got fast; expected high-performance or low-power');
  assert.equal(await told({ tune: 'always' }), 'RangeError: tune: got always; expected auto, on or off');
  assert.match(await told({ tuningBudget: -1 }), /^RangeError: tuningBudget: got -1; expected a number from 0 to 3600/);
  assert.equal(await told({ precision: 'f16' }), 'RangeError: precision: got f16; expected f32');
  for (const side of [0, 2.5, -1, '32']) assert.match(await told({ side }), /^RangeError: side: got .*; expected a whole number from 1/);
  assert.equal(await told({ sied: 32 }), 'RangeError: sied: there is no such option');
  await assert.rejects(readWeights(bytes, { sha: '00' }), /sha: there is no such option/);
  // The first network's words hold where there is no device yet, too, as one is opened again after a loss.
  const engine = new Engine();
  await told({ tune: 'off' }, engine);
  assert.equal(await told({ tune: 'on' }, engine), 'RangeError: tune of the shared device: got on; expected off');
  for (const same of [{}, { tune: 'off' }]) assert.doesNotMatch(await told(same, engine), /RangeError/);
});

/** A canvas of a browser that writes only PNG, as they do where they are asked for a type that they do not know. */
class Canvas {
  getContext = () => ({ putImageData() {}, drawImage() {} });
  convertToBlob = async ({ type }) => new Blob(['bytes'], { type: /jpeg/i.test(type) ? 'image/jpeg' : 'image/png' });
}

test('a file is of the type that was asked for, or there is none', async (t) => {
  t.after(() => delete globalThis.OffscreenCanvas);
  t.after(() => delete globalThis.ImageData);
  globalThis.OffscreenCanvas = Canvas;
  globalThis.ImageData = class { data = []; };
  const image = Float32Array.of(0.5);
  const layout = { channels: 1, side: 1 };
  for (const type of [undefined, 'image/png', 'image/JPEG']) assert.equal((await toBlob(image, { ...layout, type })).type, (type ?? 'image/png').toLowerCase());
  await assert.rejects(toBlob(image, { ...layout, type: 'image/webp' }), { name: 'RangeError', message: 'type: this browser cannot write image/webp' });
  await assert.rejects(toBlob(image, { ...layout, type: 'image/jpeg', quality: 90 }), /quality: got 90; expected a number from 0 to 1/);
  assert.throws(() => toCanvas(image, { ...layout, columns: 1.5 }), /columns: got 1\.5; expected a whole number from 1/);
  assert.throws(() => toCanvas(image, { ...layout, scale: NaN }), /scale: got NaN; expected a number from 0/);
});

const NAMES = ['cat', 'dog', 'cow'];

/** What a training with these options asks of the device, and answers. */
async function asked(options) {
  let recipe;
  const trainer = { accuracy: () => 0.5, step: () => '{"step": 1}', file: () => new Uint8Array(), free() {} };
  const model = { about: { classNames: NAMES }, size: 1, trainer: (text) => ((recipe = JSON.parse(text)), trainer) };
  const given = { images: [Float32Array.of(0)], labels: [0], steps: 1, ...options };
  const told = await train(model, { prepare: (image) => image, turn: (work) => work(model, {}) }, given, {});
  return { ...told, recipe };
}

test('training says whether it made the last layer anew, and keeps it where only a number of classes is given', async () => {
  for (const classes of [undefined, 3, [...NAMES]]) {
    const { newHead, recipe } = await asked({ classes });
    assert.deepEqual([newHead, recipe.newHead, recipe.classNames], [false, false, NAMES]);
  }
  for (const [classes, names] of [[2, ['0', '1']], [['dog', 'cat', 'cow'], ['dog', 'cat', 'cow']]]) {
    const { newHead, recipe } = await asked({ classes });
    assert.deepEqual([newHead, recipe.newHead, recipe.classNames], [true, true, names]);
  }
  await assert.rejects(asked({ classes: ['cat', 'cat'] }), /classes: expected a list of different class names/);
});

test('training refuses options without effect', async () => {
  await assert.rejects(asked({ step: 5 }), /RangeError: step: there is no such option/);
  for (const name of ['contrastiveSteps', 'stepSize']) {
    await assert.rejects(asked({ objective: 'at', [name]: 1 }), new RegExp(`${name}: the objective at has no contrastive images`));
    assert.equal((await asked({ [name]: 1 })).recipe[name], 1);
  }
});

const RUN = { chosen: '7', classes: [7], seed: 3, steps: 9, stepSize: 0.5 };
const GREY = { channels: 1, side: 16 };

test('the page’s link and lines name the network that drew', () => {
  assert.equal(String(search(RUN)), 'class=7&seed=3&steps=9&size=0.5');
  const own = code(RUN, GREY);
  assert.match(own, /\nlapidary sample --class 7 --count 1 /);
  assert.match(own, /load\("models\/fashion-demo\.safetensors"\);/);

  const address = 'https://example.org/nets/my%20own.safetensors?x=1';
  assert.equal(search(RUN, { address }).get('network'), address);
  const far = code(RUN, GREY, { address });
  assert.match(far, /lapidary sample 'my%20own\.safetensors' --class 7 /);
  assert.ok(far.includes(`load(${JSON.stringify(address)});`));

  const file = "Ann's fashion-demo.safetensors";
  const query = search(RUN, { file });
  assert.deepEqual([query.get('network'), query.get('file')], [null, file]);
  const near = code(RUN, GREY, { file });
  assert.match(near, /lapidary sample 'Ann'\\''s fashion-demo\.safetensors' --class 7 /);
  assert.ok(near.includes(`load(file); // ${file}, as a File or Blob`));
  assert.ok(!near.includes('models/fashion-demo'));
  // A word that begins so would be an option of the program.
  assert.match(code(RUN, GREY, { file: '-x.pth' }), /lapidary sample \.\/-x\.pth --class 7 /);
});
