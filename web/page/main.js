// Starts the page: loads the network, then the page's sections, and shows a recording where WebGPU does not work.

import { load } from './lapidary/index.js';
import { fallback, obstacle } from './fallback.js';
import { SamplePart } from './sample.js';
import { ImagePart } from './image.js';
import { AttackPart } from './attack.js';
import { PlanePart } from './plane.js';
import { TeachPart } from './teach.js';

export const by = (id) => document.getElementById(id);

/** What gets the keyboard's focus as soon as it is enabled. */
let heir;

/**
 * Enables a control or disables it. A disabled one cannot keep the keyboard's focus: `to`, or else the control itself, gets it
 * as soon as that is enabled, unless it has gone elsewhere by then.
 */
export function enable(id, enabled, to = id) {
  const control = by(id);
  if (!enabled && control === document.activeElement) heir = by(to);
  control.disabled = !enabled;
  if (!heir || heir.disabled) return;
  if (document.activeElement.matches('body, :disabled')) heir.focus({ preventScroll: true });
  heir = undefined;
}

/**
 * Says something to screen readers, at most every 1.5 s; of what was held back the last is said. What is only `passing`
 * gives way to all else.
 */
let saidAt = -1e9;
let held;
export function say(text, { passing = false } = {}) {
  if (held && passing && !held.passing) return;
  clearTimeout(held?.timer);
  const speak = () => {
    held = undefined;
    saidAt = performance.now();
    by('live').textContent = text;
  };
  const wait = 1500 - (performance.now() - saidAt);
  if (wait <= 0) speak();
  else held = { passing, timer: setTimeout(speak, wait) };
}

/** Says something where it belongs, and to screen readers. */
export function tell(id, text, { bad = false, passing = false } = {}) {
  by(id).textContent = text;
  by(id).classList.toggle('bad', bad);
  say(text, { passing });
}

/** What went wrong, as a sentence for people. */
export function explainError(error) {
  return error?.name === 'AbortError' ? 'Stopped.' : `${error?.message ?? error}`;
}

let robust;
let plain;
/** Where a network other than the page's own came from, as { address } or { file }: for links and lines of code. */
let origin;
const parts = [];

function progress({ phase, loaded, total, cached }) {
  const bar = by('loading');
  if (phase === 'weights' && total) bar.value = loaded / total;
  if (phase === 'upload') bar.value = 1;
  const words = { device: 'opening the device', weights: cached ? 'read from the cache' : `${Math.round((loaded ?? 0) / 1000)} kB`, upload: 'copying to the GPU' };
  by('network').textContent = words[phase] ?? phase;
}

/** The first visit with a GPU measures which kernels are fastest there; the browser keeps the answer. */
function onTuning({ done, total }) {
  const bar = by('loading');
  bar.value = done / total;
  bar.setAttribute('aria-label', `Measuring kernels on this GPU: ${done} of ${total} shapes`);
  bar.classList.toggle('done', done === total);
  if (done < total) by('pace').textContent = `measuring kernels: ${done} of ${total}`;
}

function onLost({ losses, message }) {
  if (losses < 2) say('The GPU was lost; it is opened again and work goes on.');
  else stop('lost', message);
}

function stop(reason, detail) {
  parts.forEach((part) => part.disable());
  fallback(reason, detail, parts[0]);
}

async function strip() {
  const status = await robust.status();
  if (status.msPerStep) by('pace').textContent = `${status.msPerStep < 10 ? status.msPerStep.toFixed(1) : Math.round(status.msPerStep)} ms`;
  const buffers = (status.counts?.bytes ?? 0) - status.weightBytes;
  by('pace').title = `${(buffers / 1e6).toFixed(1)} MB of GPU buffers besides the weights`;
}

/** A page cannot read an adapter's name through wgpu, but from the browser. */
async function adapterName() {
  const { info } = (await navigator.gpu.requestAdapter()) ?? {};
  return [info?.vendor, info?.architecture, info?.device, info?.description].filter(Boolean).join(' ') || 'WebGPU';
}

async function selfTest() {
  enable('run-selftest', false);
  try {
    const { good, rows } = await robust.doctor({ onProgress: ({ done, total }) => (by('selftest').textContent = `${done} of ${total}`) });
    const wrong = rows.filter((row) => !row.good);
    by('selftest').textContent = good ? `all ${rows.length} cases right` : `${wrong.length} of ${rows.length} cases wrong: ${wrong[0].name}`;
    by('selftest').classList.toggle('bad', !good);
    say(`Self-test: ${by('selftest').textContent}`);
  } catch (error) {
    by('selftest').textContent = explainError(error);
  } finally {
    enable('run-selftest', true);
  }
}

/** Takes a network for all parts; the one before is freed. */
function use(model, from) {
  const before = robust;
  robust = model;
  origin = from;
  const { architecture, parameters, fileBytes, sha256 } = model.about;
  by('network').textContent = `${architecture}, ${parameters.toLocaleString('en')} weights`;
  by('network').title = `${fileBytes} bytes, SHA-256 ${sha256 ?? 'not computed'}`;
  parts.forEach((part) => part.use(model, plain));
  before?.dispose().catch(() => undefined);
}

let opening;
/** Whether the network of the page's link is still to be opened. */
let awaited = false;

/** Loads a network of an address or a file beside the others; one that is still being loaded is given up for it. */
async function openCheckpoint(source) {
  const [name, from] = source instanceof File ? [source.name, { file: source.name }] : [source.split('/').pop(), { address: source }];
  opening?.abort();
  const mine = (opening = new AbortController());
  tell('checkpoint-state', `Reading ${name} …`, { passing: true });
  const onProgress = ({ phase, loaded, total }) => {
    if (phase === 'weights' && mine === opening) by('checkpoint-state').textContent = `${name}: ${Math.round((loaded ?? 0) / 1000)} of ${total ? Math.round(total / 1000) : '?'} kB`;
  };
  try {
    const model = await load(source, { beside: robust, onProgress, onLost, signal: mine.signal });
    const { architecture, parameters, fileBytes, sha256, classes, side, channels } = model.about;
    use(model, from);
    if (awaited) parts[0].sample();
    awaited = false;
    const size = `${classes} classes, ${side}×${side} pixels in ${channels === 1 ? 'grey' : 'colour'}`;
    tell('checkpoint-state', `${name}: ${architecture}, ${parameters.toLocaleString('en')} weights, ${size}; ${fileBytes.toLocaleString('en')} bytes, SHA-256 ${sha256 ?? 'not computed: the context is not secure'}. Nothing was uploaded; the parts above use this network now.`);
  } catch (error) {
    if (mine === opening) tell('checkpoint-state', explainError(error), { bad: true });
  }
}

/** What networks are kept in, also those that a browser cannot read: it says so. */
const CHECKPOINT = /\.(safetensors|pth?|ckpt|onnx|bin|npz|tar)$/i;

/** Takes a file that is dropped somewhere: a checkpoint, or else a picture. */
function take(file, at) {
  if (!file || !robust) return undefined;
  if (!at?.closest?.('#checkpoint') && !CHECKPOINT.test(file.name)) return parts[1].open(file);
  tell('image-state', `${file.name} is opened under “Your checkpoint”.`, { passing: true });
  return openCheckpoint(file);
}

// Beside the places for it a dropped file would be shown by the browser, in place of the page.
for (const type of ['dragover', 'drop']) {
  addEventListener(type, (event) => {
    if (event.defaultPrevented || !event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    if (type === 'drop') take(event.dataTransfer.files[0], event.target);
  });
}

/** Waits for the page's words to be on the screen, before which nothing large is asked for; in a page that nobody sees yet, for a second. */
const painted = () =>
  new Promise((resolve) => {
    new PerformanceObserver((list) => list.getEntriesByName('first-contentful-paint').length && resolve()).observe({ type: 'paint', buffered: true });
    setTimeout(resolve, 1000);
  });

async function start() {
  // Before the first part writes an address of its own.
  const query = new URLSearchParams(location.search);
  const shared = { strip, parts, use, take, network: () => origin };
  parts.push(new SamplePart(shared), new ImagePart(shared), new AttackPart(shared), new PlanePart(shared), new TeachPart(shared));
  await painted();
  const reason = await obstacle();
  if (reason) return stop(reason.reason, reason.detail);
  try {
    const hashes = await (await fetch('models/models.json')).json();
    const hash = (name) => hashes[name]?.sha256;
    const model = await load('models/fashion-demo.safetensors', { sha256: hash('fashion-demo.safetensors'), onProgress: progress, onLost, onTuning });
    by('loading').classList.add('done');
    by('precision').textContent = `f32${model.adapter.f16 ? ', f16 possible' : ''}`;
    use(model);
    by('checkpoint-file').onchange = ({ target }) => target.files[0] && openCheckpoint(target.files[0]);
    by('checkpoint-form').onsubmit = (event) => {
      event.preventDefault();
      const url = by('checkpoint-url').value;
      if (url) openCheckpoint(url);
    };
    adapterName().then((name) => (by('adapter').textContent = name));
    by('run-selftest').disabled = false;
    by('run-selftest').onclick = selfTest;
    document.documentElement.dataset.ready = 'true';
    const [named, missing] = [query.get('network'), query.get('file')];
    // Until another network is there, the address stays the link's, also for a reload.
    if (named || missing) history.replaceState(null, '', `?${query}${location.hash}`);
    if (named) await openCheckpoint(named);
    awaited = (named || missing) && !origin;
    // The first screen draws by itself, unless that would be with another network than the link's.
    if (awaited) tell('draw-state', `The network of this link is not here: ${named ? by('checkpoint-state').textContent : `open its file ${missing} under “Your checkpoint”`}. Until then the page’s own one draws.`, { bad: true });
    else parts[0].sample();
    plain = await load('models/fashion-plain.safetensors', { sha256: hash('fashion-plain.safetensors'), beside: robust });
    parts.forEach((part) => part.use(robust, plain));
  } catch (error) {
    stop(error?.name ?? 'Error', explainError(error));
  }
  // For the page's tests and for whoever looks into it from the console.
  globalThis.lapidary = { get model() { return robust; }, get plain() { return plain; } };
  return undefined;
}

start();
