// Runs the package's self-test and draws a sample in a headless Firefox, which sends the results to this test's server. Skipped
// where there is no Firefox; only Chromium's tests (page.test.js) are required.
//
//   node --test web/test/firefox.test.js        after scripts/web; FIREFOX=program where it is not firefox-esr or firefox

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { serve } from '../build/serve.js';

const dist = new URL('../dist', import.meta.url).pathname;
const runs = (program) => program && spawnSync(program, ['--version']).status === 0;
const firefox = [process.env.FIREFOX, 'firefox-esr', 'firefox'].find(runs);

const PREFERENCES = { 'dom.webgpu.enabled': true, 'dom.webgpu.workers.enabled': true, 'gfx.webgpu.ignore-blocklist': true };

const PAGE = `<!doctype html><meta charset="utf-8"><script type="module">
const tell = (what) => fetch('/told', { method: 'POST', body: JSON.stringify(what) });
try {
  const { load } = await import('/lapidary/index.js');
  const model = await load('/models/fashion-demo.safetensors');
  const { rows } = await model.doctor();
  const { energies } = await model.sample({ classes: [1], seed: 1, steps: 10 });
  await tell({ browser: navigator.userAgent, rows, energies: [...energies], status: await model.status() });
} catch (error) {
  await tell({ browser: navigator.userAgent, error: String(error) });
}
</script>`;

test('the self-test and a sample in Firefox', { skip: firefox ? false : 'no Firefox here', timeout: 300_000 }, async () => {
  let tell;
  const told = new Promise((resolve) => (tell = resolve));
  const answer = (request, response) => {
    if (request.url === '/test.html') return response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
    if (request.url !== '/told') return false;
    let text = '';
    request.on('data', (part) => (text += part));
    request.on('end', () => (response.end(), tell(JSON.parse(text))));
    return true;
  };
  const { server, url } = await serve(dist, 0, answer);
  const profile = mkdtempSync(join(tmpdir(), 'lapidary-firefox-'));
  const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${value});\n`);
  writeFileSync(join(profile, 'user.js'), lines.join(''));
  const child = spawn(firefox, ['--headless', '--no-remote', '--profile', profile, `${url}test.html`], { stdio: 'ignore' });
  const gone = new Promise((_, reject) => child.on('exit', (code) => reject(new Error(`Firefox ended with ${code}`))));
  try {
    const { browser, error, rows, energies, status } = await Promise.race([told, gone]);
    assert.equal(error, undefined, `${browser}: ${error}`);
    console.log(`${browser}: ${rows.filter((row) => row.good).length} of ${rows.length} right, energy ${energies}, ${JSON.stringify(status)}`);
    assert.ok(rows.length > 0 && rows.every((row) => row.good), JSON.stringify(rows));
    assert.ok(energies.every(Number.isFinite));
  } finally {
    gone.catch(() => {});
    child.kill();
    await new Promise((resolve) => child.on('close', resolve));
    server.close();
    server.closeAllConnections();
    rmSync(profile, { recursive: true, force: true });
  }
});
