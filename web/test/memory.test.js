// Tests that memory stays as it is, in a headless Chromium: over many samples drawn by the page, and over many networks that are
// loaded and disposed of. Counted are the GPU's objects, the wasm memory, the heaps of JavaScript, and workers.
//
//   node --test web/test/memory.test.js         needs the package that scripts/web builds
//   LAPIDARY_PAGE_ROUNDS=50 node --test ...     500 samples, 100 networks, for the figures in web/README.md; minutes

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { serve } from '../build/serve.js';
import { blank, launch } from './browser.js';

const dist = new URL('../dist', import.meta.url).pathname;
const ROUNDS = Number(process.env.LAPIDARY_PAGE_ROUNDS ?? 5);
const SAMPLES = 10 * ROUNDS;
/** How often it is measured on the way. */
const PARTS = Math.min(10, ROUNDS);

/** Runs before the worker's own code: notes what is made on the GPU, and where the wasm memory is. */
function watch() {
  const alive = { buffers: [], textures: [], pipelines: [], groups: [] };
  const gone = new WeakSet();
  const note = (method, kind) => {
    const make = GPUDevice.prototype[method];
    GPUDevice.prototype[method] = function (...given) {
      const made = make.apply(this, given);
      const keep = (made) => (alive[kind].push(new WeakRef(made)), made);
      return made instanceof Promise ? made.then(keep) : keep(made);
    };
  };
  note('createBuffer', 'buffers');
  note('createTexture', 'textures');
  note('createBindGroup', 'groups');
  for (const method of ['createComputePipeline', 'createComputePipelineAsync']) note(method, 'pipelines');
  for (const { prototype } of [GPUBuffer, GPUTexture]) {
    const { destroy } = prototype;
    prototype.destroy = function () {
      gone.add(this);
      destroy.call(this);
    };
  }
  let memory;
  for (const name of ['instantiate', 'instantiateStreaming']) {
    const make = WebAssembly[name];
    WebAssembly[name] = async (...given) => {
      const made = await make.apply(WebAssembly, given);
      memory = (made.instance ?? made).exports.memory;
      return made;
    };
  }
  globalThis.counted = () => {
    for (const kind in alive) alive[kind] = alive[kind].filter((ref) => ref.deref() && !gone.has(ref.deref()));
    return { ...Object.fromEntries(Object.entries(alive).map(([kind, refs]) => [kind, refs.length])), wasm: memory?.buffer.byteLength ?? 0 };
  };
}

let server, url, browser, page, session;
/** The page's workers by session, each with what its debugger was asked. */
const workers = new Map();
let next = 1;

before(async () => {
  const own = readFileSync(join(dist, 'lapidary/worker.js'), 'utf8');
  const answer = (request, response) => {
    if (request.url.split('?')[0] !== '/lapidary/worker.js') return blank(request, response);
    response.writeHead(200, { 'content-type': 'text/javascript' }).end(`(${watch})();${own}`);
    return true;
  };
  ({ server, url } = await serve(dist, 0, answer));
  browser = await launch();
  page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  page.setDefaultTimeout(150_000);
  session = await page.context().newCDPSession(page);
  session.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => targetInfo.type === 'worker' && workers.set(sessionId, new Map()));
  session.on('Target.detachedFromTarget', ({ sessionId }) => {
    workers.get(sessionId)?.forEach((answer) => answer());
    workers.delete(sessionId);
  });
  session.on('Target.receivedMessageFromTarget', ({ sessionId, message }) => {
    const { id, result } = JSON.parse(message);
    workers.get(sessionId)?.get(id)?.(result);
  });
  await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
});

after(async () => {
  await browser?.close();
  server?.close();
  server?.closeAllConnections();
});

/** Asks a worker's debugger; one that has ended answers nothing. */
const ask = (sessionId, method, params = {}) =>
  new Promise((resolve) => {
    const id = next++;
    workers.get(sessionId)?.set(id, resolve) ?? resolve();
    session.send('Target.sendMessageToTarget', { sessionId, message: JSON.stringify({ id, method, params }) }).catch(() => resolve());
  });

/** What is alive, once all garbage is collected. */
async function measure() {
  // A worker that was ended goes a little later.
  for (let waited = 0; workers.size > 1 && waited < 100; waited++) await new Promise((resolve) => setTimeout(resolve, 50));
  const told = { workers: workers.size, heap: 0 };
  for (const worker of workers.keys()) {
    // What the first collection lets go of is finalised then, and collected by the second.
    for (let i = 0; i < 2; i++) await ask(worker, 'HeapProfiler.collectGarbage');
    const counts = await ask(worker, 'Runtime.evaluate', { expression: 'counted()', returnByValue: true });
    Object.assign(told, counts?.result.value);
    told.heap += (await ask(worker, 'Runtime.getHeapUsage'))?.usedSize ?? 0;
  }
  for (let i = 0; i < 2; i++) await session.send('HeapProfiler.collectGarbage');
  told.page = (await session.send('Runtime.getHeapUsage')).usedSize;
  Object.assign(told, await session.send('Memory.getDOMCounters'));
  return told;
}

/** Whether what was measured part by part stays: objects to the last one, heaps to a quarter of a megabyte, for code and its caches. */
function constant(told) {
  console.table(told.map(({ documents, jsEventListeners, ...each }) => each));
  const counts = ({ heap, page, nodes, done, ...each }) => each;
  told.forEach((each) => assert.deepEqual(counts(each), counts(told[0])));
  for (const [what, most] of Object.entries({ heap: 256e3, page: 256e3, nodes: 50 })) {
    assert.ok(told.at(-1)[what] - told[0][what] < most, `${what}: ${told.map((each) => each[what])}`);
  }
}

/**
 * Runs the parts of a test, of `rounds` rounds each, and measures after each of them. One more part comes first and is not measured:
 * it fetches the shaders that are first needed then, and the wasm memory may still grow in it.
 */
async function parts(rounds, run) {
  await run(rounds);
  const told = [];
  for (let done = rounds; done <= rounds * PARTS; done += rounds) told.push({ done, ...(await run(rounds)), ...(await measure()) });
  constant(told);
  return told;
}

test(`${SAMPLES} samples in the page leave no memory taken`, { timeout: 1_500_000 }, async () => {
  await page.goto(`${url}?class=1&steps=3`);
  await page.waitForFunction(() => document.documentElement.dataset.sampled);
  await parts(SAMPLES / PARTS, (count) =>
    page.evaluate(async (count) => {
      for (let i = 0; i < count; i++) {
        const before = document.documentElement.dataset.sampled;
        document.getElementById('sample').click();
        while (document.documentElement.dataset.sampled === before) await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }, count),
  );
});

test(`${ROUNDS} networks beside another and ${ROUNDS} with workers of their own leave nothing`, { timeout: 1_500_000 }, async () => {
  await page.goto(`${url}blank.html`);
  await page.evaluate(async () => {
    const { load } = await import('./lapidary/index.js');
    globalThis.load = load;
    globalThis.first = await load('models/fashion-demo.safetensors');
  });
  const told = await parts(ROUNDS / PARTS, (count) =>
    page.evaluate(async (count) => {
      for (let i = 0; i < count; i++) {
        for (const beside of [first, undefined]) {
          const model = await load('models/fashion-plain.safetensors', { beside });
          await model.sample({ classes: [1, 2], steps: 2 });
          await model.dispose();
        }
      }
      const { counts, networks } = await first.status();
      return { bytes: counts.bytes, networks };
    }, count),
  );
  assert.equal(told[0].workers, 1);
});
