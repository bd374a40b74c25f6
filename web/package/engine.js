// The engine of the JavaScript package: holds networks on one GPU device, runs the loops of gradient steps, and recovers when the
// device is lost. Runs in a worker (worker.js) or in the page's own thread; callers use index.js.

import init, { Engine as Device, checks, prepare, provideShaders, starts, version } from './lapidary_web.js';
import { finite, named, none, nth, oneOf, unit, whole, within } from './checks.js';
import { keepChoices, keptChoices } from './choices.js';
import { GOLDEN } from './golden.js';
import { BATCH, Model } from './model.js';
import { pixels } from './pixels.js';
import { climbed, length, median, repeat } from './readings.js';
import { train } from './train.js';
import { readWeights } from './weights.js';

export { readWeights };

/** The number of losses of the device after which it is not opened again. */
const LOSSES = 2;
/** What the file of a trained network is called, as the program calls its own. */
const MODEL_FILE = 'model.safetensors';
/** Milliseconds that a run keeps the device for itself before others have their turn and an abort is heard. */
const TURN = 100;
/** The key of a global promise by which openings of devices wait for each other, also across copies of this module. */
const OPENING = Symbol.for('lapidary.opening');

/**
 * Runs networks on a device. `tell` hears { lost } at each loss of the device and { tuning } while kernels are measured;
 * `wasm` may be a compiled module or the promise of one.
 */
export class Engine {
  #device;
  /** What the device was asked for: by the first network, also where it is opened again. */
  #options;
  #models = new Map();
  #toys = new Map();
  #losses = 0;
  #last = Promise.resolve();
  #nextId = 1;
  #steps = [];
  #tell;
  /** The progress of tuning that callers were told last, as JSON. */
  #tuning;
  #wasm;

  constructor(tell, wasm) {
    this.#tell = tell;
    this.#wasm = wasm;
  }

  /** The browser's GPUDevice: wgpu does not hand it out, so it is caught where it is made. */
  gpuDevice;

  /** Makes the wasm bindings ready. A module that could not be compiled ahead is fetched again, so that its error shows. */
  async #bindings() {
    const module = await Promise.resolve(this.#wasm).catch(() => undefined);
    await init(module && { module_or_path: module });
  }

  async #open() {
    await this.#bindings();
    if (!globalThis.navigator?.gpu) {
      const secure = globalThis.isSecureContext;
      throw named(secure ? 'NoWebGPU' : 'InsecureContext', secure ? 'this browser has no WebGPU' : 'WebGPU needs a secure context: load the page by https, or from localhost');
    }
    const opened = Promise.resolve(globalThis[OPENING]).then(() => this.#catchDevice());
    globalThis[OPENING] = opened.catch(() => undefined);
    await opened;
  }

  /** Opens the device and keeps its GPUDevice. Runs one at a time: the replaced method must be the browser's own when it is put back. */
  async #catchDevice() {
    const engine = this;
    const requestDevice = GPUAdapter.prototype.requestDevice;
    let cpu = false;
    GPUAdapter.prototype.requestDevice = async function (descriptor) {
      cpu = this.info?.isFallbackAdapter ?? this.isFallbackAdapter ?? false;
      return (engine.gpuDevice = await requestDevice.call(this, descriptor));
    };
    const fetching = shaders();
    try {
      this.#device = await Device.open(this.#options.device === 'low-power');
    } finally {
      GPUAdapter.prototype.requestDevice = requestDevice;
    }
    await fetching;
    const { tune, tuningBudget } = this.#options;
    if (tune === 'on' || (tune === 'auto' && !cpu)) this.#device.tune(tuningBudget, await keptChoices());
  }

  /** Runs `work`, which may make programs; tells the progress of tuning their kernels, and keeps what was measured. */
  async #tuned(work) {
    const device = this.#device;
    const look = () => {
      const told = device.tuning();
      if (told === this.#tuning) return;
      this.#tuning = told;
      this.#tell?.({ tuning: JSON.parse(told) });
    };
    const before = this.#tuning;
    const timer = setInterval(look, TURN);
    try {
      return await work();
    } finally {
      clearInterval(timer);
      look();
      const table = this.#tuning === before ? undefined : device.measured();
      if (table) await keepChoices(table);
    }
  }

  /** Runs pieces of work one after the other, because programs have state. */
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
        this.#tell?.({ lost: { losses: this.#losses, message: error.message } });
        if (this.#losses >= LOSSES) throw error;
      }
    }
  }

  /** Forgets everything on a lost device; host copies stay. */
  #forget() {
    for (const model of this.#models.values()) model.release();
    this.#toys.clear();
    this.#device = undefined;
    this.#tuning = undefined;
    this.gpuDevice = undefined;
  }

  async load(source, { device, tune, tuningBudget, precision = 'f32', side, sha256, cache, ...others } = {}, { onProgress, signal } = {}) {
    none(others);
    const held = this.#options;
    const options = {
      device: oneOf('device', device ?? held?.device ?? 'high-performance', ['high-performance', 'low-power']),
      tune: oneOf('tune', tune ?? held?.tune ?? 'auto', ['auto', 'on', 'off']),
      tuningBudget: within('tuningBudget', tuningBudget ?? held?.tuningBudget ?? 3, 0, 3600),
    };
    oneOf('precision', precision, ['f32']);
    if (side !== undefined) whole('side', side, 1, 65_535);
    for (const name in held) oneOf(`${name} of the shared device`, options[name], [held[name]]);
    this.#options = options;
    if (!this.#device) onProgress?.({ phase: 'device' });
    // The device opens while the weights come, and networks that are there go on with their work.
    const failed = new AbortController();
    const opening = this.#queued(signal, () => this.#survive(async () => undefined));
    const abort = () => failed.abort(signal.reason);
    signal?.addEventListener('abort', abort, { once: true });
    opening.catch((error) => failed.abort(error));
    try {
      const reading = readWeights(source, { sha256, cache, onProgress, signal: failed.signal });
      const [{ bytes, name, sha256: hash }] = await Promise.all([reading, opening]);
      onProgress?.({ phase: 'upload', loaded: bytes.length, total: bytes.length });
      const model = new Model(bytes, name, side);
      await this.#queued(signal, () => this.#survive(() => model.ready(this.#device)));
      const own = model.about.side;
      if (side !== undefined && side !== own) {
        model.release();
        throw named('Mismatch', `side: got ${side}; expected ${own}, as the file says`);
      }
      const id = this.#nextId++;
      this.#models.set(id, model);
      const about = { ...model.about, name, sha256: hash, fileBytes: bytes.length };
      return { id, about, adapter: JSON.parse(this.#device.adapter()) };
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  #model(id) {
    const model = this.#models.get(id);
    if (!model || model.ended) throw named('InvalidStateError', 'this network was disposed of: load it again');
    return model;
  }

  /** Runs `work` with the network on the device, after all earlier calls. */
  #with(id, signal, work) {
    return this.#queued(signal, () =>
      this.#survive(async () => {
        const model = this.#model(id);
        await model.ready(this.#device);
        return this.#tuned(() => work(model));
      }).catch((error) => {
        throw error?.name === 'AbortError' && signal?.aborted ? signal.reason : error;
      }),
    );
  }

  /**
   * Takes gradient steps from `images` (CHW each, in [0, 1]), and tells the value that they raise at every step. Each turn on the device
   * is one step, or without `onStep` as many as take about 100 ms, so other calls have theirs in between.
   */
  async #climb(id, { images, labels, objective, norm, eps, steps, stepSize }, { onStep, signal }) {
    whole('steps', steps, 0, 100_000);
    this.#model(id).expect(images, labels.length);
    // After a loss of the device, and after others have used the same program, this goes on from the host's copy.
    const run = { step: 0, images, count: 1, times: [] };
    let plan;
    while (run.step < steps) {
      await this.#with(id, signal, async (model) => {
        const ascent = await model.ascent(labels.length, objective, norm, eps, stepSize);
        plan ??= JSON.parse(ascent.summary());
        if (model.runs.get(ascent) !== run) await ascent.start(run.images, images, labels);
        model.runs.set(ascent, run);
        const count = onStep ? 1 : Math.min(run.count, steps - run.step);
        const began = performance.now();
        try {
          await ascent.run(count, () => (signal?.aborted ?? false) || model.ended);
          const both = await ascent.state();
          const each = (performance.now() - began) / count;
          run.times.push(each);
          run.count = Math.max(1, Math.min(Math.floor(TURN / each), 2 * run.count));
          const value = both.slice(images.length);
          finite(value, 1);
          // The image before the step is what its value belongs to.
          onStep?.({ step: run.step, steps, images: run.images, value });
          run.images = both.slice(0, images.length);
          run.step += count;
        } catch (error) {
          // The images on the device may be ahead of those here.
          model.runs.delete(ascent);
          throw error;
        }
      });
      this.#steps = [...this.#steps, run.times.at(-1)].slice(-50);
      signal?.throwIfAborted();
    }
    const logits = await this.#with(id, signal, (model) => model.logits(run.images));
    const model = this.#model(id);
    const value = Float32Array.from(labels, (label, i) => climbed(model.row(logits, i), label, objective));
    onStep?.({ step: steps, steps, images: run.images, value });
    return { images: run.images, logits, value, msPerStep: median(run.times), plan };
  }

  async starts(id, seed, count) {
    const { channels, side } = this.#model(id).about;
    whole('seed', seed, 0);
    whole('count', count, 1, 100_000);
    await this.#bindings();
    return starts(seed, count, channels, side);
  }

  async sample(id, { classes, seed, steps = 20, stepSize = 0.8, start, ...others }, { onStep, signal } = {}) {
    const model = this.#model(id);
    none(others);
    if (start) none({ seed }, 'it has no effect beside start');
    if (!classes?.length || classes.length > BATCH) throw named('RangeError', `classes: got ${classes?.length ?? 'none'}; expected a list of 1 to ${BATCH} classes`);
    classes.forEach((label) => whole('class', label, 0, model.about.classes - 1));
    const images = start ? await this.#prepare(model, start) : await this.starts(id, seed ?? 0, classes.length);
    const repeated = images.length === model.size ? repeat(images, classes.length) : images;
    const settings = { images: repeated, labels: Uint32Array.from(classes), objective: 'joint', norm: 'l2', eps: Infinity, steps, stepSize };
    const energies = ({ value, ...step }) => ({ ...step, energies: value.map((logit) => -logit) });
    const made = await this.#climb(id, settings, { signal, onStep: onStep && ((step) => onStep(energies(step))) });
    return energies(made);
  }

  /** Turns an image into numbers for the network: a Float32Array stays as it is, pictures are fitted as the program does it. */
  async #prepare(model, image) {
    if (image instanceof Float32Array) return image;
    const { data, width, height } = await pixels(image);
    await this.#bindings();
    const { channels, side, fit } = model.about;
    return prepare(data, width, height, channels, side, fit);
  }

  /** Prepares one image or a list of images, as one array. */
  async #images(model, image) {
    const many = Array.isArray(image);
    const list = many ? image : [image];
    if (!list.length || list.length > BATCH) throw named('RangeError', `images: got ${list.length}; expected a list of 1 to ${BATCH} images`);
    const images = new Float32Array(list.length * model.size);
    for (const [i, one] of list.entries()) {
      const prepared = await this.#prepare(model, one);
      model.expect(prepared, 1, i);
      images.set(prepared, i * model.size);
    }
    return { images, count: list.length, many };
  }

  async classify(id, image, { topK, ...others } = {}, { signal } = {}) {
    const model = this.#model(id);
    none(others);
    if (topK !== undefined) whole('topK', topK, 1, model.about.classes);
    const { images, many } = await this.#images(model, image);
    const readings = await this.#readings(id, images, topK, signal);
    return many ? readings : readings[0];
  }

  #readings(id, images, topK, signal) {
    return this.#with(id, signal, async (model) => model.readings(await model.logits(images), images, topK));
  }

  async logits(id, images, { signal } = {}) {
    return this.#with(id, signal, async (model) => {
      model.expect(images, images.length / model.size);
      return model.logits(images);
    });
  }

  async explain(id, image, target, { eps = 4, ...options } = {}, callbacks) {
    const label = (i, count) => nth('target', target, i, count);
    return this.#change(id, image, 'joint', label, { eps, ...options }, callbacks);
  }

  async attack(id, image, { label, target, eps = 0.5, ...options } = {}, callbacks) {
    const aimed = target !== undefined;
    if (aimed) none({ label }, 'it has no effect beside target');
    const given = aimed ? target : label;
    const from = (i, count, before) => (given === undefined ? before[i].class : nth(aimed ? 'target' : 'label', given, i, count));
    return this.#change(id, image, aimed ? 'cross-entropy-targeted' : 'cross-entropy', from, { eps, ...options }, callbacks);
  }

  /** Takes steps within a ball around each image; `label(i, count, before)` returns the class that image i goes to or comes from. */
  async #change(id, image, objective, label, { eps, norm = 'l2', steps = 20, stepSize = (2.5 * eps) / Math.max(steps, 1), ...others }, { onStep, signal } = {}) {
    const model = this.#model(id);
    none(others);
    oneOf('norm', norm, ['l2', 'linf']);
    const { images, count, many } = await this.#images(model, image);
    const before = await this.#readings(id, images, undefined, signal);
    const labels = Uint32Array.from(before, (_, i) => whole('class', label(i, count, before), 0, model.about.classes - 1));
    const made = await this.#climb(id, { images, labels, objective, norm, eps, steps, stepSize }, { onStep, signal });
    const after = model.readings(made.logits, made.images);
    const changed = before.map((reading, i) => {
      const { image } = after[i];
      const difference = image.map((value, j) => value - reading.image[j]);
      return { before: reading, after: after[i], image, difference, distance: length(difference, norm), msPerStep: made.msPerStep };
    });
    return many ? changed : changed[0];
  }

  /** Trains a network on pictures of the caller's; see train.js. */
  async train(id, options, callbacks = {}) {
    const model = this.#model(id);
    if (model.training) throw named('InvalidStateError', 'this network is being trained already');
    model.training = true;
    const prepare = async (image, i) => {
      const prepared = await this.#prepare(model, image);
      model.expect(prepared, 1, i);
      return prepared;
    };
    // A turn is one step: other calls have theirs in between, with the weights from before.
    const turn = (work) => this.#with(id, callbacks.signal, (model) => work(model, this.#device));
    try {
      const { bytes, ...told } = await train(model, { prepare, turn }, options, callbacks);
      await this.#queued(callbacks.signal, () => model.replace(bytes, MODEL_FILE));
      await turn(() => undefined);
      return { ...told, about: { ...model.about, name: MODEL_FILE, fileBytes: bytes.length } };
    } finally {
      model.training = false;
    }
  }

  /** Returns the bytes of a network's file: as it was loaded, or with what was learnt since. */
  async save(id) {
    return this.#model(id).bytes;
  }

  /** Compares the device with reference cases. Each check is a turn of its own, so that the page can draw meanwhile. */
  async doctor({ onProgress, signal } = {}) {
    await this.#bindings();
    const { checks: all, weights: weightsFile } = JSON.parse(checks());
    const weights = await golden(weightsFile, signal);
    const rows = [];
    for (const [index, { name, file }] of all.entries()) {
      const bytes = await golden(file, signal);
      for (const [lowered, way] of [[false, 'as built'], [true, 'rewritten']]) {
        const row = { name, way, good: false, worst: '' };
        const check = () => this.#survive(() => this.#device.check(index, bytes, weights, lowered));
        try {
          Object.assign(row, JSON.parse(await this.#queued(signal, check)));
        } catch (error) {
          if (error?.name === 'DeviceLost' || signal?.aborted) throw error;
          row.worst = String(error?.message ?? error);
        }
        rows.push(row);
        onProgress?.({ phase: 'doctor', done: rows.length, total: all.length * 2, row });
      }
    }
    return { good: rows.every((row) => row.good), rows };
  }

  /** Returns the adapter, counts of device calls, memory, and the recent time of a step. */
  status() {
    const counts = this.#device && JSON.parse(this.#device.counts());
    const adapter = this.#device && JSON.parse(this.#device.adapter());
    const weightBytes = [...this.#models.values()].reduce((sum, model) => sum + model.about.weightBytes, 0);
    const networks = this.#models.size;
    return { version: version(), precision: 'f32', adapter, counts, networks, weightBytes, losses: this.#losses, tuning: this.#tuning && JSON.parse(this.#tuning), msPerStep: median(this.#steps) };
  }

  /** Measures the GPU time of each launch of a step of `sample`. */
  async profile(id, { batch = 8, repetitions = 3, ...others } = {}) {
    none(others);
    whole('batch', batch, 1, BATCH);
    whole('repetitions', repetitions, 1, 1000);
    return this.#with(id, undefined, async (model) => {
      const ascent = await model.ascent(batch, 'joint', 'l2', Infinity, 0.1);
      model.runs.delete(ascent);
      return JSON.parse(await ascent.profile(repetitions));
    });
  }

  async toy({ classes = 3, seed = 0, ...others } = {}) {
    none(others);
    whole('classes', classes, 1, 1000);
    whole('seed', seed, 0);
    return this.#queued(undefined, () =>
      this.#survive(async () => {
        const id = this.#nextId++;
        this.#toys.set(id, Object.assign(await this.#device.toy(classes, seed), { classes }));
        return id;
      }),
    );
  }

  #toy(id) {
    const toy = this.#toys.get(id);
    // Its weights live on the device alone and begin anew after a loss.
    if (!toy) throw named('InvalidStateError', 'this toy model is gone, as it was freed or the device was lost: make another');
    return toy;
  }

  async toyTrain(id, points, labels, { steps = 1, learningRate = 0.05, ...others } = {}) {
    none(others);
    whole('steps', steps, 1, 100_000);
    within('learningRate', learningRate, 0, 10);
    return this.#queued(undefined, async () => {
      const toy = this.#toy(id);
      const places = Float32Array.from(points);
      unit('point', places, 2);
      const known = Uint32Array.from(labels, (label) => whole('label', label, 0, toy.classes - 1));
      if (!known.length || places.length !== 2 * known.length) throw named('Mismatch', `points: got ${places.length} numbers; expected two for each of ${known.length} labels`);
      const read = await toy.train(places, known, steps, learningRate);
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

  /** Loses the device, as a driver's reset would; for tests. */
  loseDevice() {
    this.gpuDevice?.destroy();
  }

  /** Stops a network's work at its next submission, refuses its later calls, and frees it. */
  async dispose(id) {
    const model = this.#models.get(id);
    if (model) model.ended = true;
    return this.#queued(undefined, () => {
      model?.release();
      this.#models.delete(id);
    });
  }

  /** Gives the device back, once no network is left. */
  async close() {
    return this.#queued(undefined, () => {
      if (this.#models.size) return;
      const [device, toys] = [this.#device, [...this.#toys.values()]];
      this.gpuDevice?.destroy();
      toys.forEach((toy) => toy.free());
      this.#forget();
      device?.free();
    });
  }
}

/**
 * Fetches the fastest kernels, which the wasm file leaves out to stay small. Networks run without them, only slower: so where they
 * cannot be had, the console says so, and the page goes on.
 */
async function shaders() {
  try {
    const response = await fetch(new URL('./shaders.json', import.meta.url));
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    provideShaders(await response.text());
  } catch (error) {
    console.warn(`lapidary: networks are slower without shaders.json: ${error?.message ?? error}`);
  }
}

/** Fetches a reference case of `doctor`. */
async function golden(file, signal) {
  const response = await fetch(GOLDEN[file], { signal });
  if (!response.ok) throw named('BadFile', `golden/${file}: the server answers ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
