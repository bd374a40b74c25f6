// Tests training in the page, in a headless Chromium: the network learns the visitor's pictures, the samples drawn from it
// afterwards differ from those before, and the program `lapidary` reads the network that the page saves.
//
//   node --test web/test/train.test.js          needs the package that scripts/web builds, and the built program `lapidary` (LAPIDARY=FILE names another)
//   LAPIDARY_WEB_STEPS=200 node --test ...      trains 200 steps, as a visitor does; pictures before and after go to target/web-train

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { image, lesson, side } from '../build/examples.js';
import { serve } from '../build/serve.js';
import { blank, launch } from './browser.js';
import { greyPng } from './png.js';

const root = new URL('../../', import.meta.url).pathname;
const program = process.env.LAPIDARY ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'release/lapidary');
const STEPS = Number(process.env.LAPIDARY_WEB_STEPS ?? 20);

/** Five classes of ten pictures, others than the network's, so its last layer is made anew. */
const CLASSES = lesson.map(({ name }) => name);
const chosen = lesson.flatMap(({ pictures }, to) => pictures.map((i) => ({ i, to })));

let server, url, browser, page, folder;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lapidary-train-'));
  ({ server, url } = await serve(join(root, 'web/dist'), 0, blank));
  browser = await launch();
  page = await browser.newPage();
  page.setDefaultTimeout(150_000);
  await page.goto(`${url}blank.html`);
  await page.evaluate(async ([pictures, side, labels]) => {
    const { load } = await import('./lapidary/index.js');
    globalThis.load = load;
    // As a visitor drops them: pictures, and not numbers.
    globalThis.pictures = pictures.map((grey) => new ImageData(Uint8ClampedArray.from(grey.flatMap((value) => [value, value, value, 255])), side, side));
    globalThis.labels = labels;
    globalThis.model = await load('models/fashion-demo.safetensors');
  }, [chosen.map(({ i }) => [...image(i)]), side, chosen.map(({ to }) => to)]);
});

after(async () => {
  await browser?.close();
  server?.close();
  server?.closeAllConnections();
  rmSync(folder, { recursive: true });
});

test('it learns five new classes, draws others than before, and the program computes the same with what it keeps', async () => {
  const told = await page.evaluate(async ([classes, steps]) => {
    const { model, pictures, labels } = globalThis;
    const settings = { classes: [0, 1, 2, 3, 4], seed: 1, steps: 60 };
    const drawnBefore = (await model.sample(settings)).images;
    const seen = [];
    // A picture is classified in between, with the weights from before.
    let between;
    const onStep = (step) => {
      seen.push(step);
      between ??= model.classify(pictures[0]);
    };
    const trained = await model.train({ images: pictures, labels, classes, steps, onStep });
    const drawn = (await model.sample(settings)).images;
    const readings = [];
    for (let i = 0; i < pictures.length; i += 25) readings.push(...(await model.classify(pictures.slice(i, i + 25))));
    const single = (await model.classify(pictures[0])).logits;
    const apart = await model.attack(pictures[0], { eps: 0.5, steps: 5 });
    const file = new Uint8Array(await (await model.save()).arrayBuffer());
    const other = await load(new Blob([file]), { beside: model });
    const again = (await other.classify(pictures[0])).logits;
    await other.dispose();
    return {
      trained, seen, about: model.about, file: [...file], again: [...again], single: [...single], attacked: apart.after.logits.length,
      classesBetween: (await between).logits.length, drawnBefore: [...drawnBefore], drawn: [...drawn], side: model.about.side,
      classes: readings.map((reading) => reading.class), logits: readings.map((reading) => [...reading.logits]),
    };
  }, [CLASSES, STEPS]);

  const { trained, seen } = told;
  const accuracy = told.classes.filter((named, i) => named === chosen[i].to).length / chosen.length;
  const far = Math.sqrt(told.drawn.reduce((sum, value, i) => sum + (value - told.drawnBefore[i]) ** 2, 0) / 5);
  console.log(`${STEPS} steps of ${trained.msPerStep.toFixed(0)} ms: accuracy ${trained.accuracyBefore} before, ${trained.accuracyAfter} after; samples moved by ${far.toFixed(2)} (L2) each`);
  for (const { step, loss, contrast, accuracy, auc, contrastiveSteps } of seen.filter(({ step }) => step % Math.ceil(STEPS / 10) === 1)) {
    console.log(`step ${step}: loss ${loss.toFixed(3)}, contrast ${contrast.toFixed(3)}, attacked accuracy ${accuracy.toFixed(2)}, AUC ${auc.toFixed(2)}, T ${contrastiveSteps}`);
  }
  assert.equal(seen.length, STEPS);
  assert.deepEqual(seen.map(({ step }) => step), Array.from({ length: STEPS }, (_, i) => i + 1));
  assert.equal(told.classesBetween, 10);
  // Half of the pictures are a chance of one in five and more.
  assert.ok(trained.accuracyAfter > Math.max(0.5, trained.accuracyBefore + 0.2), `${trained.accuracyBefore} ${trained.accuracyAfter}`);
  assert.ok(Math.abs(accuracy - trained.accuracyAfter) < 1e-6);
  assert.ok(far > 1, `${far}`);
  assert.deepEqual(told.about.classNames, CLASSES);
  assert.equal(told.attacked, CLASSES.length);
  assert.deepEqual(told.again, told.single);

  const file = join(folder, 'model.safetensors');
  writeFileSync(file, Buffer.from(told.file));
  const paths = chosen.map(({ i }) => {
    const path = join(folder, `${i}.png`);
    writeFileSync(path, greyPng(image(i), side, side));
    return path;
  });
  const env = { NODEVICE_SELECT: '1', ...process.env };
  const answers = JSON.parse(execFileSync(program, ['classify', '--json', '--checkpoint', file, ...paths], { env }));
  const scale = Math.max(...answers.flatMap(({ logits }) => logits.map(Math.abs)));
  const apart = Math.max(...answers.flatMap(({ logits }, i) => logits.map((logit, j) => Math.abs(logit - told.logits[i][j]))));
  console.log(`logits up to ${scale.toFixed(1)}; those of the program are apart by ${apart.toExponential(1)}`);
  assert.ok(apart < 1e-4 * Math.max(1, scale));
  assert.deepEqual(answers.map(({ top }) => top[0].name), told.classes.map((named) => CLASSES[named]));

  if (process.env.LAPIDARY_WEB_STEPS) {
    const into = join(root, 'target/web-train');
    mkdirSync(into, { recursive: true });
    for (const [name, images] of [['before', told.drawnBefore], ['after', told.drawn]]) {
      const rows = await page.evaluate(async ([images, side]) => {
        const { toBlob } = await import('./lapidary/index.js');
        const blob = await toBlob(Float32Array.from(images), { channels: 1, side, scale: 12, columns: 5 });
        return [...new Uint8Array(await blob.arrayBuffer())];
      }, [images, told.side]);
      writeFileSync(join(into, `${name}.png`), Buffer.from(rows));
    }
    writeFileSync(join(into, 'model.safetensors'), Buffer.from(told.file));
  }
});

test('a lost device changes nothing of what is learnt, and an abort nothing of the network', async () => {
  const { files, names, losses, refused, before, aborted } = await page.evaluate(async ([classes]) => {
    const { pictures, labels } = globalThis;
    const settings = { images: pictures, labels, classes, steps: 30, objective: 'at', batch: 4 };
    const sha = async (blob) => [...new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()))].join();
    const files = [];
    let losses;
    for (const lost of [false, true]) {
      const model = await load('models/fashion-demo.safetensors');
      let asked = false;
      const onStep = ({ step }) => {
        if (lost && step === 27 && !asked) asked = model.loseDevice() && true;
      };
      await model.train({ ...settings, onStep });
      files.push(await sha(await model.save()));
      ({ losses } = await model.status());
      await model.dispose();
    }
    const model = await load('models/fashion-demo.safetensors');
    const before = await sha(await model.save());
    const refused = [];
    for (const wrong of [{ labels: [0] }, { classes: ['a'] }, { images: [], labels: [] }, { objective: 'gan' }, { steps: 0 }, { learningRate: 1e9 }, { images: [new Float32Array(256).fill(2)], labels: [0] }, { learningRate: 10, steps: 200 }]) {
      refused.push(await model.train({ ...settings, ...wrong }).then(() => 'nothing', ({ name, message }) => `${name}: ${message}`));
    }
    const stop = new AbortController();
    const names = [];
    const onStep = ({ step }) => step === 2 && stop.abort();
    const first = model.train({ ...settings, steps: 1000, onStep, signal: stop.signal });
    names.push(await model.train(settings).catch((error) => error.name), await first.catch((error) => error.name), model.about.classes);
    const aborted = await sha(await model.save());
    await model.dispose();
    return { files, names, losses, refused, before, aborted };
  }, [CLASSES]);
  console.log(refused.join('\n'));
  assert.equal(losses, 1);
  assert.equal(files[0], files[1]);
  assert.equal(aborted, before);
  assert.deepEqual(names, ['InvalidStateError', 'AbortError', 10]);
  const wanted = [/Mismatch: labels/, /RangeError: label of image/, /RangeError: number of images/, /dat or at/, /RangeError: steps/, /RangeError: learningRate/, /Mismatch: .*\[0, ?1\]/, /Diverged|NotFinite|BadFile/];
  wanted.forEach((words, i) => assert.match(refused[i], words));
});

test('by clicks: five kinds are taught, stopped early, saved, and drawn by the parts above', async () => {
  const opened = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  opened.setDefaultTimeout(150_000);
  const problems = [];
  opened.on('pageerror', (error) => problems.push(String(error)));
  await opened.goto(url);
  await opened.waitForFunction(() => document.documentElement.dataset.ready);
  await opened.click('#abort', { timeout: 5000 }).catch(() => undefined);
  assert.ok(await opened.isDisabled('#teach'));
  await opened.click('#teach-lesson');
  await opened.waitForFunction(() => document.querySelectorAll('.thumb').length === 50);
  // One is taken out again.
  await opened.click('.thumb >> nth=3');
  await opened.fill('#teach-steps', '500');
  await opened.click('#teach');
  await opened.waitForFunction(() => /^Step ([5-9]|\d\d) /.test(document.getElementById('teach-state').textContent));
  await opened.click('#teach-stop');
  await opened.waitForFunction(() => document.documentElement.dataset.taught);
  const state = await opened.textContent('#teach-state');
  console.log(state);
  assert.match(state, /^\d+ steps: of your 49 pictures \d+ percent are classified correctly, \d+ percent before\.$/);
  assert.equal(await opened.locator('#teach-after canvas').count(), 5);
  const [download] = await Promise.all([opened.waitForEvent('download'), opened.click('#teach-save')]);
  assert.equal(download.suggestedFilename(), 'model.safetensors');
  const kept = join(folder, 'kept.safetensors');
  await download.saveAs(kept);
  const about = execFileSync(program, ['inspect', kept], { env: { NODEVICE_SELECT: '1', ...process.env } }).toString();
  for (const name of CLASSES) assert.ok(about.includes(name), about);
  await opened.click('#teach-use');
  assert.match(await opened.textContent('#classes'), /tops.*shoes/);
  assert.deepEqual(problems, []);
  await opened.close();
});
