// Tests that a keyboard is enough: every control of the page is reached by Tab, shows that it has the focus, and works by
// keys, and the focus stays with whoever uses it. Nothing is clicked, and no focus is set by the test.
//
//   node --test web/test/keyboard.test.js       needs the package that scripts/web builds

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { image, lesson, side } from '../build/examples.js';
import { serve } from '../build/serve.js';
import { launch } from './browser.js';
import { greyPng } from './png.js';

const dist = new URL('../dist', import.meta.url).pathname;

let server, url, browser, page, folder;
const problems = [];

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lapidary-keyboard-'));
  ({ server, url } = await serve(dist));
  browser = await launch();
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, permissions: ['clipboard-read', 'clipboard-write'] });
  page = await context.newPage();
  page.setDefaultTimeout(150_000);
  // From the start, so that no chooser opens before the test hears of it.
  page.on('filechooser', () => undefined);
  page.on('pageerror', (error) => problems.push(String(error)));
  await page.goto(`${url}?class=0&seed=3&steps=20&size=0.8`);
  await page.waitForFunction(() => document.documentElement.dataset.sampled && document.documentElement.dataset.classified);
  // What comes last is the plain network, for the attack.
  await page.waitForFunction(() => !document.getElementById('run-attack').disabled);
});

after(async () => {
  await browser?.close();
  server?.close();
  server?.closeAllConnections();
  rmSync(folder, { recursive: true });
});

const press = async (...keys) => {
  for (const key of keys) await page.keyboard.press(key);
};
const focused = (selector) => page.evaluate((selector) => document.activeElement.matches(selector), selector);

/** Tab, or another key, until the focus is there. */
async function to(selector, key = 'Tab') {
  for (let i = 0; i < 120; i++) {
    if (await focused(selector)) return;
    await press(key);
  }
  assert.fail(`${selector} is not reached by ${key}`);
}

/** What is said in a place, as soon as it is that. */
async function said(id, pattern) {
  await page.waitForFunction(([id, source]) => new RegExp(source).test(document.getElementById(id).textContent), [id, pattern.source]);
  return page.textContent(`#${id}`);
}

/** The focus is where it was, or has gone to `selector`, when something that runs begins or has ended. */
async function keeps(selector) {
  const at = await page.evaluate(() => document.activeElement.id || document.activeElement.tagName);
  assert.ok(await focused(selector), `the focus is on ${at} and not on ${selector}`);
}

/** The file that a press of Enter saves. */
async function saved() {
  const [download] = await Promise.all([page.waitForEvent('download'), press('Enter')]);
  const file = join(folder, download.suggestedFilename());
  await download.saveAs(file);
  return file;
}

/** Files in the chooser that the focused field opens by a key. */
async function choose(...files) {
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), press('Enter')]);
  await chooser.setFiles(files);
}

/** In the page: what has the focus, whether it is in view, and whether anything shows that it has it. */
function stop() {
  const at = document.activeElement;
  if (at === document.body) return undefined;
  const opaque = (element) => !element || (Number(getComputedStyle(element).opacity) > 0.5 && opaque(element.parentElement));
  const outlined = (element) => {
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    return outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2 && opaque(element);
  };
  const { top, bottom, left, right, width, height } = at.getBoundingClientRect();
  const inView = bottom > 0 && top < innerHeight && right > 0 && left < innerWidth && width > 1 && height > 1;
  at.dataset.stop ??= String(document.querySelectorAll('[data-stop]').length);
  // Fields that are laid over what one sees show it there.
  const shown = [at, at.nextElementSibling, at.closest('label')].some((element) => element && outlined(element));
  return { number: Number(at.dataset.stop), name: at.outerHTML.slice(0, 80), inView, shown };
}

test('Tab comes to every control, in view and with a visible focus, and Shift+Tab goes back the same way', async () => {
  const stops = [];
  await press('Tab');
  for (let at; (at = await page.evaluate(stop)); await press('Tab')) {
    assert.ok(stops.length < 200, 'it never ends');
    stops.push(at);
  }
  assert.deepEqual(stops.filter(({ inView }) => !inView).map(({ name }) => name), [], 'out of view');
  assert.deepEqual(stops.filter(({ shown }) => !shown).map(({ name }) => name), [], 'without a visible focus');
  assert.deepEqual(stops.map(({ number }) => number), [...stops.keys()], 'something has the focus twice');
  const missed = await page.evaluate(() => {
    const all = document.querySelectorAll('a[href], button, input, select, summary, [tabindex]');
    // Of a group of radio buttons Tab comes to the chosen one, and arrows to the others.
    const wanted = [...all].filter((each) => each.checkVisibility() && !each.disabled && !(each.type === 'radio' && !each.checked));
    return wanted.filter((each) => !each.dataset.stop).map((each) => each.outerHTML.slice(0, 80));
  });
  assert.deepEqual(missed, []);
  console.log(`${stops.length} controls are reached by Tab`);
  const back = [];
  await press('Shift+Tab');
  for (let at; back.length < stops.length && (at = await page.evaluate(stop)); await press('Shift+Tab')) back.push(at.number);
  assert.deepEqual(back, [...stops.keys()].reverse());
});

test('the first Tab offers to skip to the content', async () => {
  await page.reload();
  await page.waitForFunction(() => document.documentElement.dataset.sampled && !document.getElementById('run-attack').disabled);
  await press('Tab', 'Enter', 'Tab');
  await keeps('input[name=class]');
});

test('it draws the class that arrows choose, and a number that is typed', async () => {
  const sampled = () => page.evaluate(() => Number(document.documentElement.dataset.sampled));
  await press('ArrowRight');
  await said('draw-state', /^trouser: energy from .* in 20 steps\.$/);
  await keeps('input[name=class][value="1"]');
  await to('#seed');
  await press('Control+a');
  await page.keyboard.type('5');
  const before = await sampled();
  await press('Enter');
  await page.waitForFunction((before) => Number(document.documentElement.dataset.sampled) > before, before);
  await keeps('#seed');
  assert.match(page.url(), /class=1&seed=5&steps=20/);
  await to('#sample', 'Shift+Tab');
  await press('Space');
  await page.waitForFunction((before) => Number(document.documentElement.dataset.sampled) > before + 1, before);
  await keeps('#sample');
});

test('a run is stopped, and the focus stays in the row', async () => {
  await to('#steps');
  await press('Control+a');
  await page.keyboard.type('200');
  await press('Enter');
  await page.waitForFunction(() => Number(document.getElementById('scrub').max) > 2);
  await to('#abort', 'Shift+Tab');
  await press('Enter');
  await said('draw-state', /^Stopped\.$/);
  await page.waitForFunction(() => document.getElementById('abort').disabled);
  await keeps('#sample');
  await to('#steps');
  await press('Control+a');
  await page.keyboard.type('20');
  await press('Enter');
  await said('draw-state', / in 20 steps\.$/);
});

test('the trajectory is gone through, saved and linked', async () => {
  await to('#play', 'Shift+Tab');
  const position = async () => Number(await page.textContent('#position'));
  if ((await page.textContent('#play')) === 'Pause') await press('Enter');
  await press('Tab');
  await keeps('#step');
  const at = await position();
  await press('Space');
  assert.equal(await position(), (at + 1) % 21);
  await press('Tab', 'Home');
  assert.equal(await position(), 0);
  await press('ArrowRight', 'ArrowRight', 'ArrowLeft');
  assert.equal(await position(), 1);
  await press('End');
  assert.equal(await position(), 20);
  await keeps('#scrub');
  await to('#copy-link');
  await press('Enter');
  await said('draw-state', /^The link is in the clipboard/);
  const link = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(link, /\?class=1&seed=5&steps=20&size=0\.8$/);
  await press('Tab');
  const png = await saved();
  assert.deepEqual([png.endsWith('lapidary-trouser-seed5-step20.png'), readFileSync(png).readUInt32BE(16)], [true, 256]);
  await press('Tab');
  assert.equal(readFileSync(await saved()).subarray(0, 3).toString(), 'GIF');
  await press('Tab');
  assert.equal(JSON.parse(readFileSync(await saved())).frames.length, 21);
  await press('Tab', 'Space');
  assert.ok(await page.isChecked('#smooth'));
  await to('.chart summary');
  await press('Enter', 'Tab');
  // A table that is longer than its place is scrolled by keys.
  await keeps('#energy-chart .scroll');
  await press('End');
  await page.waitForFunction(() => document.querySelector('#energy-chart .scroll').scrollTop > 0);
});

test('a picture is chosen, classified, drawn on and explained', async () => {
  await to('#examples button:nth-child(3)');
  await press('Enter');
  await said('image-state', /^pullover, \d+ percent\.$/);
  await keeps('#examples button[aria-pressed=true]');
  await to('#image-file');
  const file = join(folder, 'boot.png');
  writeFileSync(file, greyPng(image(lesson.find(({ name }) => name === 'bags').pictures[0]), side, side));
  await choose(file);
  await said('image-state', /^bag, \d+ percent\.$/);
  await to('#use-sample');
  await press('Enter');
  await said('image-state', /^trouser, \d+ percent\.$/);
  await to('#target');
  await page.keyboard.type('dress');
  assert.equal(await page.$eval('#target', (select) => select.selectedOptions[0].textContent), 'dress');
  await press('Tab', 'End');
  assert.equal(await page.textContent('#eps-value'), '8');
  await press('Tab', 'Enter');
  await said('explained', /dress: .* at a distance of/);
  await keeps('#explain');
  await press('Tab');
  await keeps('#wipe');
  const share = () => page.$eval('#before', (canvas) => canvas.style.clipPath);
  const before = await share();
  await press('Home');
  assert.notEqual(await share(), before);
});

test('the pad is drawn on, and shows where the pen is', async () => {
  await to('#clear-pad', 'Shift+Tab');
  await press('Enter', 'Shift+Tab');
  await keeps('#pad');
  const white = () => page.$eval('#pad', (pad) => {
    const { data } = pad.getContext('2d').getImageData(0, 0, pad.width, pad.height);
    let sum = 0;
    for (let i = 0; i < data.length; i += 4) sum += data[i] > 128;
    return sum;
  });
  const pen = () => page.$eval('#pen', (pen) => [pen.checkVisibility(), pen.offsetLeft, pen.offsetTop]);
  const [shown, left, top] = await pen();
  assert.ok(shown);
  assert.equal(await white(), 0);
  await press('ArrowUp', 'ArrowLeft');
  assert.deepEqual(await pen(), [true, left - 8, top - 8]);
  await press('Space');
  const dot = await white();
  assert.ok(dot > 100, `${dot}`);
  for (let i = 0; i < 8; i++) await press('Shift+ArrowDown');
  assert.ok((await white()) > dot + 8 * 8 * 10);
  await said('image-state', /percent/);
  await press('Backspace');
  assert.equal(await white(), 0);
  await press('Tab');
  assert.deepEqual(await pen(), [false, 0, 0]);
});

test('both networks are attacked', async () => {
  await to('#examples button:nth-child(2)', 'Shift+Tab');
  await press('Enter');
  await said('image-state', /^trouser/);
  await to('#attack-eps');
  await press('ArrowRight', 'ArrowLeft');
  assert.equal(await page.textContent('#attack-eps-value'), '0.5');
  await press('Tab', 'Enter');
  await said('attack-state', /^The image above, attacked/);
  await keeps('#run-attack');
  assert.match(await page.textContent('#sides'), /became .*still trouser/s);
});

test('it is taught classes of the page and of files, which are named and taken out again, and the network is saved and used', async () => {
  await to('#teach-lesson');
  await press('Enter');
  await said('teach-state', /^50 pictures\.$/);
  await keeps('#teach-lesson');
  await press('Tab', 'Enter');
  await keeps('.kind:last-child input[type=text]');
  await page.keyboard.type('mine');
  await press('Tab');
  const files = lesson[1].pictures.slice(0, 3).map((number, i) => {
    const file = join(folder, `${i}.png`);
    writeFileSync(file, greyPng(image(number), side, side));
    return file;
  });
  await choose(...files);
  await said('teach-state', /^53 pictures\.$/);
  await press('Shift+Tab');
  await keeps('.kind:last-child .thumb:last-child');
  await press('Enter');
  assert.equal(await page.$$eval('.kind:last-child .thumb', (all) => all.length), 2);
  await to('.kind:last-child .small');
  await press('Enter');
  assert.equal(await page.$$eval('.kind', (all) => all.length), 5);
  await keeps('#teach-add');
  await to('#teach-steps');
  await press('Control+a');
  await page.keyboard.type('200');
  await press('Tab', 'Enter');
  // Whoever began it can end it.
  await said('teach-state', /^Step [1-9]/);
  await keeps('#teach-stop');
  await press('Enter');
  await said('teach-state', / steps: of your 50 pictures /);
  await keeps('#teach');
  await to('#teach-save');
  assert.ok(readFileSync(await saved()).length > 300_000);
  await press('Tab', 'Enter');
  await said('teach-state', /^The parts above use this network now\.$/);
  await keeps('#teach-save');
  assert.deepEqual(await page.$$eval('#classes .chip', (chips) => chips.map((chip) => chip.textContent)), [...lesson.map(({ name }) => name), 'each class']);
});

test('in the plane points are put and a network is trained', async () => {
  await to('#square');
  const colour = () => page.$eval('#square', (square) => [...square.getContext('2d').getImageData(192, 192 - 12, 1, 1).data].join());
  const before = await colour();
  // The cursor starts in the middle; a circle is put a step above it.
  await press('ArrowUp', 'Space');
  await press('ArrowDown', 'ArrowDown', 'ArrowDown');
  assert.notEqual(await colour(), before);
  await to('input[name=plane-class]');
  await press('ArrowRight');
  assert.ok(await page.isChecked('input[name=plane-class][value="1"]'));
  await to('#train');
  await press('Enter');
  await page.waitForFunction(() => Number.parseInt(document.getElementById('plane-state').textContent) >= 10);
  await press('Enter');
  assert.equal(await page.textContent('#train'), 'Train');
  await press('Tab', 'Enter');
  await said('plane-state', /^New weights\.$/);
  await keeps('#restart');
});

test('a network is opened by its address, and the self-test runs', async () => {
  await to('#checkpoint-url');
  await page.keyboard.type(`${url}models/fashion-plain.safetensors`);
  await press('Enter');
  await said('checkpoint-state', /^fashion-plain\.safetensors: .*use this network now\.$/);
  await keeps('#checkpoint-url');
  await to('#checkpoint-file', 'Shift+Tab');
  await choose(join(dist, 'models/fashion-demo.safetensors'));
  await said('checkpoint-state', /^fashion-demo\.safetensors: .*use this network now\.$/);
  await to('#run-selftest', 'Shift+Tab');
  await press('Enter');
  await said('selftest', /^all 12 cases right$/);
  await keeps('#run-selftest');
  assert.deepEqual(problems, []);
});
