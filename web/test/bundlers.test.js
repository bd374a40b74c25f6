// Tests, in a headless Chromium, pages that bundlers build with the package's packed tarball, also where a server has them in a
// folder below its root.
//
//   node --test web/test/bundlers.test.js        needs the package that scripts/web builds; installs the examples' bundlers from npm

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { serve } from '../build/serve.js';
import { launch } from './browser.js';

const root = new URL('../../', import.meta.url).pathname;
const dist = join(root, 'web/dist');

let folder, tarball, browser;
/** The installed example for Next.js, once there is one. */
let next;

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

function run(cwd, command, arguments_, variables = {}) {
  const env = { ...process.env, ...variables };
  return execFileSync(command, arguments_, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
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

/** Opens the example and waits until it has drawn a class and named it; returns how many workers it made and ended. */
async function drawn(url) {
  const page = await browser.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('requestfailed', (request) => problems.push(request.url()));
  // Without its fetched kernels a network is slower and computes the same, so the picture does not tell.
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('console', (message) => message.text().includes('shaders.json') && problems.push(message.text()));
  await page.addInitScript(() => {
    globalThis.workers = { made: 0, ended: 0 };
    globalThis.Worker = class extends Worker {
      constructor(...given) {
        super(...given);
        globalThis.workers.made++;
      }
      terminate() {
        super.terminate();
        globalThis.workers.ended++;
      }
    };
  });
  await page.goto(url);
  const ended = () => /the network sees|did not work/.test(document.getElementById('status')?.textContent);
  await page.waitForFunction(ended, undefined, { timeout: 120_000 });
  const said = await page.textContent('#status');
  const [colours, workers] = await page.evaluate(() => {
    const canvas = document.getElementById('image');
    return [new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size, globalThis.workers];
  });
  await page.close();
  assert.deepEqual(problems, []);
  assert.ok(asked.some((address) => address.includes('shaders')), asked.join('\n'));
  assert.match(said, /^Energy -?\d+\.\d\d; the network sees: bag, \d+ %$/);
  assert.ok(colours > 16, `${colours} values in the picture`);
  return workers;
}

/** Serves what was built in a folder below the server's root, and looks at it there. */
async function drawnBelow(built) {
  const served = join(folder, 'served');
  rmSync(served, { recursive: true, force: true });
  cpSync(built, join(served, 'some/path'), { recursive: true });
  const { server, url } = await serve(served);
  try {
    assert.deepEqual(await drawn(`${url}some/path/`), { made: 1, ended: 0 });
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

test('Vite builds it, and it draws below a path of a server', async () => {
  const copy = install('web-vite');
  run(copy, 'npx', ['vite', 'build', '--logLevel', 'error']);
  await drawnBelow(join(copy, 'dist'));
});

// Turbopack is what Next.js takes by itself.
for (const bundler of ['turbopack', 'webpack']) {
  test(`Next.js builds it with ${bundler}, and it draws below a path of a server`, async () => {
    next ??= install('web-next');
    run(next, 'npx', ['next', 'build', `--${bundler}`], { BASE_PATH: '/some/path' });
    await drawnBelow(join(next, 'out'));
  });
}

test('in development, where React mounts each component twice, the first worker ends and the second draws', async () => {
  next ??= install('web-next');
  // It would ask the registry for newer versions of itself.
  const env = { ...process.env, NODE_OPTIONS: '--import=data:text/javascript,globalThis.fetch=()=>Promise.reject()' };
  const server = spawn('node_modules/.bin/next', ['dev', '--hostname', '127.0.0.1', '--port', '0'], { cwd: next, env });
  const closed = new Promise((resolve) => server.on('close', resolve));
  let output = '';
  const url = new Promise((resolve, reject) => {
    const read = (text) => {
      output += text;
      const told = /Local: +(http\S+)/.exec(output);
      if (told) resolve(told[1]);
    };
    server.stdout.on('data', read);
    server.stderr.on('data', read);
    closed.then((code) => reject(new Error(`next dev ended with ${code}: ${output}`)));
  });
  try {
    assert.deepEqual(await drawn(await url), { made: 2, ended: 1 });
  } finally {
    server.kill();
    await closed;
  }
});
