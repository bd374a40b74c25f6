// The JavaScript package's entry: loads a network and samples, classifies, attacks and explains with it on the visitor's GPU.
// Types and their meaning are in index.d.ts.

import { named, none } from './checks.js';
import { toBlob, toCanvas, toImageData } from './picture.js';

/** Loads a checkpoint; see index.d.ts. */
export async function load(source, { onProgress, signal, worker = true, beside, onLost, onTuning, ...options } = {}) {
  signal?.throwIfAborted();
  if (beside?.disposed) throw disposed();
  const host = beside ? beside[HOST] : await (worker ? inWorker() : inThread());
  host.users++;
  // Each network's own, though callers give the same functions to several.
  const listener = { onLost, onTuning };
  host.listeners.add(listener);
  try {
    const base = globalThis.document?.baseURI ?? globalThis.location?.href;
    const given = source instanceof URL ? source.href : typeof source === 'string' ? new URL(source, base).href : source;
    const { id, about, adapter } = await host.call('load', [given, options], { onProgress, signal });
    return new Lapidary(host, id, about, adapter, listener);
  } catch (error) {
    host.listeners.delete(listener);
    host.leave();
    throw error;
  }
}

export { toBlob, toCanvas, toImageData };

/** Reads a checkpoint's bytes as the engine does; a page that does not ask for it loads no copy of it. */
export const readWeights = async (...given) => (await import('./engine.js')).readWeights(...given);

const HOST = Symbol('host');
const disposed = () => new DOMException('this network was disposed of: load it again', 'InvalidStateError');

/** A loaded network. */
class Lapidary {
  #id;
  #listener;
  /** The abort controllers of running calls. */
  #running = new Set();
  #end;

  constructor(host, id, about, adapter, listener) {
    Object.defineProperty(this, HOST, { value: host });
    this.#id = id;
    this.#listener = listener;
    this.about = about;
    this.adapter = adapter;
  }

  /** The page's GPUDevice; none with a worker, which cannot hand it over. */
  get device() {
    return this[HOST].engine?.gpuDevice;
  }

  get disposed() {
    return this.#end !== undefined;
  }

  sample({ onStep, signal, start, ...options }) {
    return this.#withImage(start, (start, send) => this.#call('sample', [{ ...options, start }], { onStep, signal, send }));
  }

  classify(image, { signal, ...options } = {}) {
    return this.#withImage(image, (image, send) => this.#call('classify', [image, options], { signal, send }));
  }

  async energy(image, { signal, ...others } = {}) {
    none(others);
    const energies = ({ energy, jointEnergies }) => ({ marginal: energy, joint: jointEnergies });
    const readings = await this.classify(image, { signal });
    return Array.isArray(readings) ? readings.map(energies) : energies(readings);
  }

  async logits(images, { signal, ...others } = {}) {
    none(others);
    return this.#call('logits', [images], { signal });
  }

  explain(image, target, { onStep, signal, ...options } = {}) {
    return this.#withImage(image, (image, send) => this.#call('explain', [image, target, options], { onStep, signal, send }));
  }

  attack(image, { onStep, signal, ...options } = {}) {
    return this.#withImage(image, (image, send) => this.#call('attack', [image, options], { onStep, signal, send }));
  }

  async train({ images, onStep, signal, finish, ...options }) {
    const call = (images, send) => this.#call('train', [{ ...options, images }], { onStep, signal, finish, send });
    const { about, ...told } = await this.#withImage(images, call);
    this.about = about;
    return told;
  }

  async save() {
    return new Blob([await this.#call('save', [])], { type: 'application/octet-stream' });
  }

  starts(seed, count) {
    return this.#call('starts', [seed, count]);
  }

  toImageData(image) {
    return toImageData(image, this.about);
  }

  toCanvas(images, options) {
    return toCanvas(images, { ...this.about, ...options });
  }

  toBlob(images, options) {
    return toBlob(images, { ...this.about, ...options });
  }

  async doctor({ onProgress, signal, ...others } = {}) {
    none(others);
    return this.#host('doctor', [], { onProgress, signal });
  }

  status() {
    return this.#host('status', []);
  }

  profile(options) {
    return this.#call('profile', [options]);
  }

  async toy(options) {
    const id = await this.#host('toy', [options]);
    return {
      train: (points, labels, options) => this.#host('toyTrain', [id, points, labels, options]),
      map: () => this.#host('toyMap', [id]),
      free: () => this.#host('toyFree', [id]),
    };
  }

  loseDevice() {
    return this.#host('loseDevice', []);
  }

  /** Stops running calls and refuses later ones. */
  dispose() {
    this.#end ??= (async () => {
      const host = this[HOST];
      host.listeners.delete(this.#listener);
      const freed = host.call('dispose', [this.#id]);
      this.#running.forEach((stop) => stop.abort(disposed()));
      // With the last network the worker ends at once, whatever it is doing: nothing is left to wait for.
      host.leave();
      await freed.catch((error) => {
        if (host.users > 0) throw error;
      });
    })();
    return this.#end;
  }

  #call(method, args, callbacks) {
    return this.#host(method, [this.#id, ...args], callbacks);
  }

  async #host(method, args, { signal, ...callbacks } = {}) {
    if (this.disposed) throw disposed();
    signal?.throwIfAborted();
    const stop = new AbortController();
    const abort = () => stop.abort(signal.reason);
    signal?.addEventListener('abort', abort, { once: true });
    this.#running.add(stop);
    try {
      return await this[HOST].call(method, args, { ...callbacks, signal: stop.signal });
    } finally {
      this.#running.delete(stop);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Calls `work` with images in a form that an engine takes, and the list of buffers to transfer with them. */
  async #withImage(image, work) {
    const send = [];
    const given = await (Array.isArray(image) ? Promise.all(image.map((one) => taken(one, send))) : taken(image, send));
    return work(given, send);
  }
}

/** Turns an image into a form that can go to a worker: numbers, files and pixels stay, and elements of the page become bitmaps. */
async function taken(image, send) {
  if (image === undefined || image instanceof Float32Array || image instanceof Blob) return image;
  if (typeof ImageData !== 'undefined' && image instanceof ImageData) {
    return { data: new Uint8Array(image.data.buffer, image.data.byteOffset, image.data.byteLength), width: image.width, height: image.height };
  }
  const bitmap = await createImageBitmap(image, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
  send.push(bitmap);
  return bitmap;
}

/** Makes an engine in this thread. */
async function inThread() {
  const { Engine } = await import('./engine.js');
  const listeners = new Set();
  const engine = new Engine((event) => tell(listeners, event));
  // The caller hears of an abort at once, as with a worker.
  const call = (method, args, { send: _, ...callbacks } = {}) =>
    new Promise((resolve, reject) => {
      const { signal } = callbacks;
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      const answer = async () => engine[method](...args, callbacks);
      answer().then(resolve, reject);
    });
  return host({ engine, listeners, call, close: () => engine.close() });
}

/** Makes an engine in its own worker. */
function inWorker() {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'lapidary' });
  // The bindings come while the worker starts.
  const compiled = WebAssembly.compileStreaming(fetch(new URL('./lapidary_web_bg.wasm', import.meta.url)));
  compiled.then((wasm) => worker.postMessage({ wasm }), () => worker.postMessage({ wasm: undefined }));
  const listeners = new Set();
  const calls = new Map();
  let next = 1;
  let ended;
  const end = (error) => {
    ended ??= error;
    worker.terminate();
    calls.forEach(({ done, reject }) => (done(), reject(error)));
    calls.clear();
  };
  worker.onerror = (event) => end(new Error(`the worker failed: ${event.message || 'it could not be loaded'}`));
  worker.onmessage = ({ data }) => {
    if (data.event) return tell(listeners, data.event);
    const call = calls.get(data.id);
    if (!call) return undefined;
    if (data.step) return call.onStep?.(data.step);
    if (data.progress) return call.onProgress?.(data.progress);
    calls.delete(data.id);
    call.done();
    if (!data.error) return call.resolve(data.result);
    return call.reject(named(data.error.name, data.error.message));
  };
  const call = (method, args, { onStep, onProgress, signal, finish, send = [] } = {}) =>
    new Promise((resolve, reject) => {
      if (ended) return reject(ended);
      if (signal?.aborted) return reject(signal.reason);
      const id = next++;
      // The caller hears at once; the worker stops at its next submission.
      const abort = () => {
        worker.postMessage({ id, abort: true });
        calls.delete(id);
        reject(signal.reason);
      };
      const early = () => worker.postMessage({ id, finish: true });
      signal?.addEventListener('abort', abort, { once: true });
      finish?.addEventListener('abort', early, { once: true });
      const done = () => {
        signal?.removeEventListener('abort', abort);
        finish?.removeEventListener('abort', early);
      };
      calls.set(id, { resolve, reject, done, onStep, onProgress });
      worker.postMessage({ id, method, args, wants: { onStep: !!onStep, onProgress: !!onProgress } }, send);
      if (finish?.aborted) early();
      return undefined;
    });
  return host({ listeners, call, close: () => end(disposed()) });
}

/** Tells the callers whose networks share a device that it was lost, or how far the measuring of kernels is. */
function tell(listeners, { lost, tuning }) {
  for (const { onLost, onTuning } of listeners) {
    if (lost) onLost?.(lost);
    if (tuning) onTuning?.(tuning);
  }
}

/** Counts the networks on an engine, also those that are loading; the last one to leave closes it. */
function host(made) {
  return Object.assign(made, {
    users: 0,
    leave() {
      this.users--;
      if (this.users === 0) this.close();
    },
  });
}
