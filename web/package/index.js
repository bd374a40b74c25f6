// The package: loads a network and samples, classifies, attacks and explains with it on the visitor's GPU. Types and
// their meaning are in index.d.ts.

import { readWeights } from './weights.js';

/** Loads a checkpoint; see index.d.ts. */
export async function load(source, { onProgress, signal, worker = true, beside, onLost, ...options } = {}) {
  signal?.throwIfAborted();
  const host = beside ? beside[HOST] : await (worker ? inWorker() : inThread());
  if (onLost) host.lost.add(onLost);
  try {
    const given = source instanceof URL ? source.href : typeof source === 'string' ? new URL(source, document.baseURI).href : source;
    const { id, about, adapter } = await host.call('load', [given, options], { onProgress, signal });
    return new Lapidary(host, id, about, adapter);
  } catch (error) {
    if (!beside) host.close();
    throw error;
  }
}

export { readWeights };

const HOST = Symbol('host');

/** A network that was loaded. */
class Lapidary {
  #id;

  constructor(host, id, about, adapter) {
    Object.defineProperty(this, HOST, { value: host });
    this.#id = id;
    this.about = about;
    this.adapter = adapter;
  }

  /** The page's GPUDevice; none with a worker, which cannot hand it over. */
  get device() {
    return this[HOST].engine?.gpuDevice;
  }

  sample({ onStep, signal, start, ...options }) {
    return this.#withImage(start, (start) => this.#call('sample', [{ ...options, start }], { onStep, signal }));
  }

  classify(image, { signal } = {}) {
    return this.#withImage(image, (image) => this.#call('classify', [image], { signal }));
  }

  async energy(image, { signal } = {}) {
    const { energy, jointEnergies } = await this.classify(image, { signal });
    return { marginal: energy, joint: jointEnergies };
  }

  logits(images, { signal } = {}) {
    return this.#call('logits', [images], { signal });
  }

  explain(image, target, { onStep, signal, ...options } = {}) {
    return this.#withImage(image, (image) => this.#call('explain', [image, target, options], { onStep, signal }));
  }

  attack(image, { onStep, signal, ...options } = {}) {
    return this.#withImage(image, (image) => this.#call('attack', [image, options], { onStep, signal }));
  }

  starts(seed, count) {
    return this.#call('starts', [seed, count]);
  }

  doctor({ onProgress, signal } = {}) {
    return this[HOST].call('doctor', [], { onProgress, signal });
  }

  status() {
    return this[HOST].call('status', []);
  }

  profile(options) {
    return this.#call('profile', [options]);
  }

  async toy(options) {
    const host = this[HOST];
    const id = await host.call('toy', [options]);
    return {
      train: (points, labels, options) => host.call('toyTrain', [id, points, labels, options]),
      map: () => host.call('toyMap', [id]),
      free: () => host.call('toyFree', [id]),
    };
  }

  loseDevice() {
    return this[HOST].call('loseDevice', []);
  }

  async dispose() {
    const left = await this.#call('dispose', []);
    if (left === 0) this[HOST].close();
  }

  #call(method, args, callbacks) {
    return this[HOST].call(method, [this.#id, ...args], callbacks);
  }

  async #withImage(image, work) {
    return work(await numbers(image));
  }
}

/** What an engine takes: numbers, or bytes with width and height. */
async function numbers(image) {
  if (image === undefined || image instanceof Float32Array) return image;
  if (typeof ImageData !== 'undefined' && image instanceof ImageData) return { data: bytes(image), width: image.width, height: image.height };
  // The stored pixels: no colour profile and no alpha is worked into them.
  const bitmap = await createImageBitmap(image, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
  const { width, height } = bitmap;
  const canvas = typeof OffscreenCanvas === 'undefined' ? Object.assign(document.createElement('canvas'), { width, height }) : new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { data: bytes(context.getImageData(0, 0, width, height)), width, height };
}

const bytes = ({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** An engine in this thread. */
async function inThread() {
  const { Engine } = await import('./engine.js');
  const lost = new Set();
  const engine = new Engine((about) => lost.forEach((tell) => tell(about)));
  const call = async (method, args, callbacks = {}) =>
    method === 'load' ? engine.load(args[0], { ...args[1], ...callbacks }) : engine[method](...args, callbacks);
  return { engine, lost, call, close() {} };
}

/** An engine in a worker of its own. */
function inWorker() {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'lapidary' });
  const lost = new Set();
  const calls = new Map();
  let next = 1;
  const fail = (error) => {
    calls.forEach(({ reject }) => reject(error));
    calls.clear();
  };
  worker.onerror = (event) => fail(new Error(`the worker failed: ${event.message || 'it could not be loaded'}`));
  worker.onmessage = ({ data }) => {
    if (data.lost) return lost.forEach((tell) => tell(data.lost));
    const call = calls.get(data.id);
    if (!call) return undefined;
    if (data.step) return call.onStep?.(data.step);
    if (data.progress) return call.onProgress?.(data.progress);
    calls.delete(data.id);
    call.done();
    if (!data.error) return call.resolve(data.result);
    return call.reject(Object.assign(new Error(data.error.message), { name: data.error.name }));
  };
  const call = (method, args, { onStep, onProgress, signal } = {}) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const id = next++;
      // The caller hears at once; the worker stops at its next submission.
      const abort = () => {
        worker.postMessage({ id, abort: true });
        calls.delete(id);
        reject(signal.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
      const done = () => signal?.removeEventListener('abort', abort);
      calls.set(id, { resolve, reject, done, onStep, onProgress });
      return worker.postMessage({ id, method, args, wants: { onStep: !!onStep, onProgress: !!onProgress } });
    });
  const close = () => {
    worker.terminate();
    fail(new DOMException('this network was disposed of', 'InvalidStateError'));
  };
  return { lost, call, close };
}
