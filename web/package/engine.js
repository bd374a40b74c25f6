// The device's side: networks on one GPU device, the loops over them, and what is done when the device is lost. Runs in
// a worker (worker.js) or in the page's own thread; index.js is what callers see.

import init, { Engine as Device, checks, prepare, starts, version } from './lapidary_web.js';
import { readWeights } from './weights.js';

/** Ready-made programs that a network keeps; the one unused for longest goes first. */
const KEPT = 6;
/** Images that go through a network at once, at most. */
const BATCH = 64;
/** Losses of the device after which it is not opened again. */
const LOSSES = 2;

/** `onLost` is told of each loss of the device. */
export class Engine {
  #device;
  #options = {};
  #models = new Map();
  #toys = new Map();
  #losses = 0;
  #epoch = 0;
  #last = Promise.resolve();
  #nextId = 1;
  #steps = [];
  #onLost;

  constructor(onLost) {
    this.#onLost = onLost;
  }

  /** The browser's own device: wgpu does not hand it out, so it is caught where it is made. */
  gpuDevice;

  async #open() {
    await init();
    if (!globalThis.navigator?.gpu) {
      const secure = globalThis.isSecureContext;
      throw named(secure ? 'NoWebGPU' : 'InsecureContext', secure ? 'this browser has no WebGPU' : 'WebGPU needs a secure context: https, or localhost');
    }
    const requestDevice = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (descriptor) {
      return (engine.gpuDevice = await requestDevice.call(this, descriptor));
    };
    const engine = this;
    try {
      this.#device = await Device.open(this.#options.device === 'low-power');
    } finally {
      GPUAdapter.prototype.requestDevice = requestDevice;
    }
    this.#epoch++;
  }

  /** One call after the other: programs have state. */
  #queued(signal, work) {
    const result = this.#last.then(() => {
      signal?.throwIfAborted();
      return work();
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Runs `work`; where the device is lost on the way, opens it again and calls `work` once more. */
  async #survive(work) {
    for (;;) {
      try {
        if (!this.#device) await this.#open();
        return await work();
      } catch (error) {
        if (error?.name !== 'DeviceLost') throw error;
        this.#forget();
        this.#losses++;
        this.#onLost?.({ losses: this.#losses, message: error.message });
        if (this.#losses >= LOSSES) throw error;
      }
    }
  }

  /** What was on the device is gone; host copies stay. */
  #forget() {
    for (const model of this.#models.values()) model.release();
    this.#toys.clear();
    this.#device = undefined;
    this.gpuDevice = undefined;
  }

  async load(source, { device, precision = 'f32', side = 0, sha256, cache, onProgress, signal } = {}) {
    if (precision !== 'f32') throw named('RangeError', `precision: ${precision} given, f32 wanted`);
    return this.#queued(signal, async () => {
      if (!this.#device) {
        this.#options = { device };
        onProgress?.({ phase: 'device' });
      }
      // The device opens while the weights come.
      const opening = this.#survive(async () => undefined);
      const reading = readWeights(source, { sha256, cache, onProgress, signal });
      const [{ bytes, name, sha256: hash }] = await Promise.all([reading, opening]);
      onProgress?.({ phase: 'upload', loaded: bytes.length, total: bytes.length });
      const model = new Model(bytes, name, side);
      await this.#survive(() => model.ready(this.#device));
      const id = this.#nextId++;
      this.#models.set(id, model);
      const about = { ...model.about, name, sha256: hash, fileBytes: bytes.length };
      return { id, about, adapter: JSON.parse(this.#device.adapter()) };
    });
  }

  #model(id) {
    const model = this.#models.get(id);
    if (!model) throw named('InvalidStateError', 'this network was disposed of');
    return model;
  }

  /** `work` with the network on the device, after what was asked for before. */
  #with(id, signal, work) {
    return this.#queued(signal, () =>
      this.#survive(async () => {
        const model = this.#model(id);
        await model.ready(this.#device);
        return work(model);
      }).catch((error) => {
        throw error?.name === 'AbortError' && signal?.aborted ? signal.reason : error;
      }),
    );
  }

  /** Gradient steps from `images` (CHW each, in [0, 1]); what they climb is told with every image. */
  async #climb(id, { images, origin = images, labels, objective, norm, eps, steps, stepSize }, { onStep, signal }) {
    whole('steps', steps, 0, 100_000);
    const state = { step: 0, images, times: [] };
    return this.#with(id, signal, async (model) => {
      model.expect(images, labels.length);
      const ascent = await model.ascent(this.#device, labels.length, objective, norm, eps, stepSize);
      // After a loss of the device this goes on from the host's copy.
      await ascent.start(state.images, origin, labels);
      while (state.step < steps) {
        signal?.throwIfAborted();
        const count = onStep ? 1 : steps - state.step;
        const began = performance.now();
        await ascent.run(count, () => signal?.aborted ?? false);
        const both = await ascent.state();
        state.times.push((performance.now() - began) / count);
        const value = both.slice(state.images.length);
        onStep?.({ step: state.step, steps, images: state.images, value });
        state.images = both.slice(0, state.images.length);
        state.step += count;
      }
      this.#steps = [...this.#steps, ...state.times].slice(-50);
      signal?.throwIfAborted();
      const logits = await model.logits(this.#device, state.images);
      const value = Float32Array.from(labels, (label, i) => climbed(model.row(logits, i), label, objective));
      onStep?.({ step: steps, steps, images: state.images, value });
      return { images: state.images, logits, value, msPerStep: median(state.times), plan: JSON.parse(ascent.summary()) };
    });
  }

  async starts(id, seed, count) {
    const { channels, side } = this.#model(id).about;
    await init();
    return starts(seed, count, channels, side);
  }

  async sample(id, { classes, seed = 0, steps = 20, stepSize = 0.8, start }, { onStep, signal } = {}) {
    const model = this.#model(id);
    if (!classes?.length || classes.length > BATCH) throw named('RangeError', `classes: ${classes?.length ?? 'none'} given, 1 to ${BATCH} wanted`);
    classes.forEach((label) => whole('class', label, 0, model.about.classes - 1));
    const images = start ? await this.#image(model, start) : await this.starts(id, seed, classes.length);
    const repeated = images.length === model.size ? repeat(images, classes.length) : images;
    const settings = { images: repeated, labels: Uint32Array.from(classes), objective: 'joint', norm: 'l2', eps: Infinity, steps, stepSize };
    const energies = ({ value, ...step }) => ({ ...step, energies: value.map((logit) => -logit) });
    const made = await this.#climb(id, settings, { signal, onStep: onStep && ((step) => onStep(energies(step))) });
    return energies(made);
  }

  /** Numbers as they are, pictures as the program reads them. */
  async #image(model, image) {
    if (image instanceof Float32Array) return image;
    await init();
    const { channels, side } = model.about;
    return prepare(image.data, image.width, image.height, channels, side);
  }

  async classify(id, image, { signal } = {}) {
    const prepared = await this.#image(this.#model(id), image);
    return this.#with(id, signal, async (model) => {
      model.expect(prepared, 1);
      return { ...reading(await model.logits(this.#device, prepared), model.about), image: prepared };
    });
  }

  async logits(id, images, { signal } = {}) {
    return this.#with(id, signal, async (model) => {
      model.expect(images, images.length / model.size);
      return model.logits(this.#device, images);
    });
  }

  async explain(id, image, target, { eps = 4, norm = 'l2', steps = 20, stepSize = (2.5 * eps) / Math.max(steps, 1) }, { onStep, signal } = {}) {
    const model = this.#model(id);
    whole('target', target, 0, model.about.classes - 1);
    return this.#within(id, image, { objective: 'joint', label: target, eps, norm, steps, stepSize }, { onStep, signal });
  }

  async attack(id, image, { label, target, eps = 0.5, norm = 'l2', steps = 20, stepSize = (2.5 * eps) / Math.max(steps, 1) } = {}, { onStep, signal } = {}) {
    const model = this.#model(id);
    const prepared = await this.#image(model, image);
    const targeted = target !== undefined;
    const named = targeted ? target : (label ?? (await this.classify(id, prepared, { signal })).class);
    whole(targeted ? 'target' : 'label', named, 0, model.about.classes - 1);
    const objective = targeted ? 'cross-entropy-targeted' : 'cross-entropy';
    return this.#within(id, prepared, { objective, label: named, eps, norm, steps, stepSize }, { onStep, signal });
  }

  async #within(id, image, { objective, label, eps, norm, steps, stepSize }, callbacks) {
    const images = await this.#image(this.#model(id), image);
    const before = await this.classify(id, images, callbacks);
    const settings = { images, labels: Uint32Array.of(label), objective, norm, eps, steps, stepSize };
    const made = await this.#climb(id, settings, callbacks);
    const after = { ...reading(made.logits, this.#model(id).about), image: made.images };
    const difference = made.images.map((value, i) => value - images[i]);
    return { before, after, image: made.images, difference, distance: length(difference, norm), msPerStep: made.msPerStep };
  }

  async doctor({ onProgress, signal } = {}) {
    return this.#queued(signal, () =>
      this.#survive(async () => {
        const { checks: all, weights: weightsFile } = JSON.parse(checks());
        const golden = async (file) => {
          const response = await fetch(new URL(`golden/${file}`, import.meta.url), { signal });
          if (!response.ok) throw named('BadFile', `golden/${file}: the server answers ${response.status}`);
          return new Uint8Array(await response.arrayBuffer());
        };
        const weights = await golden(weightsFile);
        const rows = [];
        for (const [index, { name, file }] of all.entries()) {
          const bytes = await golden(file);
          for (const [optimise, way] of [[false, 'as built'], [true, 'rewritten']]) {
            signal?.throwIfAborted();
            const row = { name, way, good: false, worst: '' };
            try {
              Object.assign(row, JSON.parse(await this.#device.check(index, bytes, weights, optimise)));
            } catch (error) {
              if (error?.name === 'DeviceLost') throw error;
              row.worst = String(error?.message ?? error);
            }
            rows.push(row);
            onProgress?.({ phase: 'doctor', done: rows.length, total: all.length * 2, row });
          }
        }
        return { good: rows.every((row) => row.good), rows };
      }),
    );
  }

  /** What the device is and did, and how long a step took of late. */
  status() {
    const counts = this.#device && JSON.parse(this.#device.counts());
    const adapter = this.#device && JSON.parse(this.#device.adapter());
    const weightBytes = [...this.#models.values()].reduce((sum, model) => sum + model.about.weightBytes, 0);
    return { version: version(), precision: 'f32', adapter, counts, weightBytes, losses: this.#losses, msPerStep: median(this.#steps) };
  }

  /** GPU time of each launch of a step of `sample`. */
  async profile(id, { batch = 8, repetitions = 3 } = {}) {
    return this.#with(id, undefined, async (model) => {
      const ascent = await model.ascent(this.#device, batch, 'joint', 'l2', Infinity, 0.1);
      return JSON.parse(await ascent.profile(repetitions));
    });
  }

  async toy({ classes = 3, seed = 0 } = {}) {
    return this.#queued(undefined, () =>
      this.#survive(async () => {
        const id = this.#nextId++;
        this.#toys.set(id, await this.#device.toy(classes, seed));
        return id;
      }),
    );
  }

  #toy(id) {
    const toy = this.#toys.get(id);
    // Its weights live on the device alone and begin anew after a loss.
    if (!toy) throw named('InvalidStateError', 'this model is gone: make another');
    return toy;
  }

  async toyTrain(id, points, labels, { steps = 1, learningRate = 0.05 } = {}) {
    return this.#queued(undefined, async () => {
      const toy = this.#toy(id);
      const read = await toy.train(Float32Array.from(points), Uint32Array.from(labels), steps, learningRate);
      return { bce: read[0], ce: read[1], contrastive: read.slice(2), steps: toy.steps() };
    });
  }

  async toyMap(id) {
    return this.#queued(undefined, () => this.#toy(id).map());
  }

  async toyFree(id) {
    return this.#queued(undefined, () => {
      this.#toys.get(id)?.free();
      this.#toys.delete(id);
    });
  }

  /** Loses the device, as a driver's reset would: for tests of what happens then. */
  loseDevice() {
    this.gpuDevice?.destroy();
  }

  /** Frees a network; how many are left. */
  async dispose(id) {
    return this.#queued(undefined, () => {
      this.#models.get(id)?.release();
      this.#models.delete(id);
      if (this.#models.size === 0) {
        this.gpuDevice?.destroy();
        this.#device?.free();
        this.#forget();
      }
      return this.#models.size;
    });
  }
}

/** A network's bytes on the host, and what is on the device of it. */
class Model {
  #bytes;
  #name;
  #side;
  #network;
  #programs = new Map();
  about;

  constructor(bytes, name, side) {
    this.#bytes = bytes;
    this.#name = name;
    this.#side = side;
  }

  /** Numbers of an image. */
  get size() {
    return this.about.channels * this.about.side ** 2;
  }

  async ready(device) {
    if (this.#network) return;
    this.#network = await device.network(this.#name, this.#bytes, this.#side);
    this.about = JSON.parse(this.#network.describe());
  }

  release() {
    for (const program of this.#programs.values()) program.free();
    this.#programs.clear();
    this.#network?.free();
    this.#network = undefined;
  }

  expect(images, count) {
    if (!Number.isInteger(count) || count < 1 || images.length !== count * this.size) {
      const { channels, side } = this.about;
      throw named('Mismatch', `image: ${images.length} numbers given, ${count} times ${this.size} (${channels}×${side}×${side}) wanted`);
    }
  }

  row(logits, index) {
    const { classes } = this.about;
    return logits.subarray(index * classes, (index + 1) * classes);
  }

  async #program(key, make) {
    const made = this.#programs.get(key) ?? (await make());
    this.#programs.delete(key);
    this.#programs.set(key, made);
    if (this.#programs.size > KEPT) {
      const [oldest, program] = this.#programs.entries().next().value;
      this.#programs.delete(oldest);
      program.free();
    }
    return made;
  }

  ascent(_device, images, objective, norm, eps, stepSize) {
    const key = ['ascent', images, objective, norm, eps, stepSize].join();
    return this.#program(key, () => this.#network.ascent(images, objective, norm, eps, stepSize));
  }

  async logits(_device, images) {
    const count = images.length / this.size;
    const batch = Math.min(count, BATCH);
    const classifier = await this.#program(['classifier', batch].join(), () => this.#network.classifier(batch));
    return classifier.logits(images);
  }
}

function named(name, message) {
  const error = new Error(message);
  error.name = name;
  return error;
}

function whole(what, value, least, most) {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw named('RangeError', `${what}: ${value} given, a whole number from ${least} to ${most} wanted`);
  }
}

function repeat(image, count) {
  const images = new Float32Array(image.length * count);
  for (let i = 0; i < count; i++) images.set(image, i * image.length);
  return images;
}

/** log sum exp, in doubles. */
function logsumexp(logits) {
  const most = Math.max(...logits);
  return most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
}

function climbed(logits, label, objective) {
  const crossEntropy = () => logsumexp(logits) - logits[label];
  switch (objective) {
    case 'joint': return logits[label];
    case 'logsumexp': return logsumexp(logits);
    case 'cross-entropy': return crossEntropy();
    default: return -crossEntropy();
  }
}

/** Both readings of one image's logits: posterior and energies. */
function reading(logits, about) {
  const sum = logsumexp(logits);
  const best = logits.indexOf(Math.max(...logits));
  return {
    class: best,
    className: about.classNames[best],
    logits,
    probabilities: logits.map((logit) => Math.exp(logit - sum)),
    energy: -sum,
    jointEnergies: logits.map((logit) => -logit),
  };
}

function length(values, norm) {
  return norm === 'linf' ? values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) : Math.hypot(...values);
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[sorted.length >> 1] : undefined;
}
