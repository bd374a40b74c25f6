// Tests, in a headless Chromium, pages that bundlers build with the package's packed tarball, also where a server has them in a
// folder below its root.
//
//   node --test web/test/bundlers.test.js        after scripts/web; installs the examples' bundlers from npm

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { serve } from '../build/serve.js';
import { launch } from './browser.js';

const root = new URL('../../', import.meta.url).pathname;
const dist = join(root, 'web/dist');

let folder, tarball, browser;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lapidary-bundlers-'));
  const packed = run(join(dist, 'lapidary'), 'npm', ['pack', '--json', '--silent', '--pack-destination', folder]);
  tarball = join(folder, JSON.parse(packed)[0].filename);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

function run(cwd, command, arguments_) {
  return execFileSync(command, arguments_, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** A copy of an example with the tarball in the place of this checkout's package, and the built-in network beside its page. */
function install(name) {
  const copy = join(folder, name);
  cpSync(join(root, 'examples', name), copy, { recursive: true, filter: (path) => !path.includes('node_modules') });
  mkdirSync(join(copy, 'public'), { recursive: true });
  cpSync(join(root, 'data/fashion-demo/model.safetensors'), join(copy, 'public/model.safetensors'));
  run(copy, 'npm', ['install', '--silent', '--no-audit', '--no-fund', tarball]);
  return copy;
}

/** Opens the example and waits until it has drawn a class and named it. */
async function drawn(url) {
  const page = await browser.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('requestfailed', (request) => problems.push(request.url()));
  await page.goto(url);
  const status = page.locator('#status');
  const ended = () => /the network sees|did not work/.test(document.getElementById('status').textContent);
  await page.waitForFunction(ended, undefined, { timeout: 120_000 });
  const said = await status.textContent();
  const colours = await page.evaluate(() => {
    const canvas = document.getElementById('image');
    return new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size;
  });
  await page.close();
  assert.deepEqual(problems, []);
  assert.match(said, /^Energy -?\d+\.\d\d; the network sees: bag, \d+ %$/);
  assert.ok(colours > 16, `${colours} values in the picture`);
}

test('Vite builds it, and it draws below a path of a server', async () => {
  const copy = install('web-vite');
  run(copy, 'npx', ['vite', 'build', '--logLevel', 'error']);
  mkdirSync(join(folder, 'served'), { recursive: true });
  cpSync(join(copy, 'dist'), join(folder, 'served/some/path'), { recursive: true });
  const { server, url } = await serve(join(folder, 'served'));
  try {
    await drawn(`${url}some/path/`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
