// Drives the page in a headless Firefox, from a page around it that sends what it saw to this test's server. What can be tested
// depends on the Firefox: Debian's of the series 140 has WebGPU on no Linux, whatever its preferences say, that of the series 153
// has it by preferences, also on Mesa's lavapipe. Where there is no Firefox, nothing is tested, but in CI that is a failure.
//
//   node --test web/test/firefox.test.js        needs the package that scripts/web builds; FIREFOX=PROGRAM names another Firefox

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { serve } from '../build/serve.js';

const dist = new URL('../dist', import.meta.url).pathname;
const version = (program) => /Firefox (\d+)/.exec(program && spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout)?.[1];
const firefox = [process.env.FIREFOX, 'firefox-esr', 'firefox'].find(version);
const skip = firefox || process.env.CI ? false : 'no Firefox here: scripts/setup firefox';
/** The first series that must have an adapter on Linux. */
const WITH_ADAPTER = 153;
const SECONDS = 400;

const WEBGPU = { 'dom.webgpu.enabled': true, 'dom.webgpu.workers.enabled': true, 'gfx.webgpu.ignore-blocklist': true };

/** Opens an address of the page in a frame, and returns what `look`, a function that runs beside the frame, makes of its window. */
async function inFirefox(preferences, address, look) {
  assert.ok(firefox, 'no Firefox here: scripts/setup firefox');
  const outer = `<!doctype html><meta charset="utf-8"><iframe src="${address}" width="1200" height="900"></iframe><script type="module">
    const frame = document.querySelector('iframe');
    const until = async (what, look) => {
      for (const began = performance.now(); performance.now() - began < ${SECONDS / 4}e3; await new Promise((done) => setTimeout(done, 50))) {
        const seen = look();
        if (seen) return seen;
      }
      throw new Error('it waited in vain for ' + what + ': ' + frame.contentDocument.querySelector('#live')?.textContent);
    };
    const told = await until('the page', () => frame.contentDocument?.querySelector('#fallback') && frame.contentWindow)
      .then((page) => (${look})(page, until))
      .catch((error) => ({ error: String(error) }));
    await fetch('/told', { method: 'POST', body: JSON.stringify(told) });
  </script>`;
  let tell;
  const told = new Promise((resolve) => (tell = resolve));
  const answer = (request, response) => {
    if (request.url === '/outer.html') return response.writeHead(200, { 'content-type': 'text/html' }).end(outer);
    if (request.url !== '/told') return false;
    let text = '';
    request.on('data', (part) => (text += part));
    request.on('end', () => (response.end(), tell(JSON.parse(text))));
    return true;
  };
  const { server, url } = await serve(dist, 0, answer);
  const profile = mkdtempSync(join(tmpdir(), 'lapidary-firefox-'));
  const lines = Object.entries(preferences).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${value});\n`);
  writeFileSync(join(profile, 'user.js'), lines.join(''));
  const env = { NODEVICE_SELECT: '1', ...process.env };
  const child = spawn(firefox, ['--headless', '--no-remote', '--profile', profile, `${url}outer.html`], { env, stdio: 'ignore' });
  let timer;
  const failed = new Promise((_, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`Firefox ended with ${code}`)));
    timer = setTimeout(() => reject(new Error(`nothing was told in ${SECONDS} s`)), SECONDS * 1000);
  });
  const closed = new Promise((resolve) => child.on('close', resolve));
  try {
    const { error, ...seen } = await Promise.race([told, failed]);
    assert.equal(error, undefined);
    return seen;
  } finally {
    clearTimeout(timer);
    failed.catch(() => {});
    child.kill();
    await closed;
    server.close();
    server.closeAllConnections();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** Beside the frame: what the page says where it cannot compute, and what is in its pictures at the recording's end. */
async function recorded({ document, Event }, until) {
  const notice = await until('a notice', () => document.querySelector('#fallback:not([hidden])'));
  const scrub = document.getElementById('scrub');
  await until('a recording', () => Number(scrub.max) > 10);
  scrub.value = scrub.max;
  scrub.dispatchEvent(new Event('input'));
  const bright = (canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((value, i) => i % 4 < 3 && value > 128);
  const pictures = [...document.querySelectorAll('.frames canvas')].map(bright);
  return { reason: notice.dataset.reason, notice: notice.textContent, pictures, draw: document.getElementById('sample').disabled ? 'disabled' : 'enabled' };
}

/** Beside the frame: what the page computes. */
async function computed({ document, navigator }, until) {
  const [root, began, times] = [document.documentElement, performance.now(), {}];
  const by = (id) => document.getElementById(id);
  const time = (what) => (times[what] = Math.round(performance.now() - began) / 1000);
  const best = (name) => until(name, () => document.querySelector('#posterior .best')?.textContent === name);
  const { info } = await navigator.gpu.requestAdapter();
  const adapter = [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(' ') || (info.isFallbackAdapter ? 'a rasteriser on the CPU' : 'a GPU');
  await until('a sample', () => root.dataset.sampled);
  const energies = [...document.querySelectorAll('#energy-chart tbody tr')].map((row) => Number(row.cells[1].textContent));
  time('drawn');
  by('use-sample').click();
  await best('trouser');
  // One of the test set's.
  document.querySelector('#examples button:nth-child(3)').click();
  await best('pullover');
  time('classified');
  by('run-selftest').click();
  await until('the self-test', () => /right|wrong/.test(by('selftest').textContent));
  time('tested');
  return { adapter, energies: [energies[0], energies.at(-1)], selftest: by('selftest').textContent, times };
}

function assertRecorded({ pictures, draw }) {
  assert.deepEqual(pictures, Array(10).fill(true), 'a picture is missing or blank');
  assert.equal(draw, 'disabled');
}

test('without WebGPU, Firefox says so and shows the recorded run', { skip }, async () => {
  const seen = await inFirefox({ 'dom.webgpu.enabled': false }, '/', recorded);
  assert.equal(seen.reason, 'NoWebGPU', seen.notice);
  assertRecorded(seen);
});

test('with WebGPU, Firefox draws, classifies and passes the self-test; without an adapter it says so', { skip }, async () => {
  const either = `async (page, until) => {
    await until('the page to begin', () => page.document.querySelector('#fallback:not([hidden])') || page.document.documentElement.dataset.ready);
    const refused = await page.navigator.gpu?.requestAdapter().then((adapter) => (adapter ? '' : 'it has no adapter'), String);
    if (refused !== '') return { refused: refused ?? 'navigator.gpu is not there', ...await (${recorded})(page, until) };
    return (${computed})(page, until);
  }`;
  const { refused, ...seen } = await inFirefox(WEBGPU, '/?class=1&seed=3&steps=30&size=0.8', either);
  console.log(`Firefox ${version(firefox)}: ${refused ? `no WebGPU, it says “${refused}”; a recording is shown` : JSON.stringify(seen)}`);
  if (refused) {
    assert.ok(process.platform !== 'linux' || version(firefox) < WITH_ADAPTER, `no adapter in Firefox ${version(firefox)}: ${refused}`);
    assert.match(seen.reason, /^(NoWebGPU|NoAdapter)$/, seen.notice);
    assertRecorded(seen);
    return;
  }
  assert.equal(seen.selftest, 'all 12 cases right');
  assert.ok(seen.energies[0] - seen.energies[1] > 8, `${seen.energies}`);
});
