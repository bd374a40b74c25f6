// A loaded network of the JavaScript package: its file's bytes on the host, and its weights and programs on the GPU.

import { finite, named, unit } from './checks.js';
import { reading } from './readings.js';

/** The number of programs that a network keeps ready; the one unused for longest goes first. */
const KEPT = 6;
/** The most images that go through a network at once. */
export const BATCH = 64;

/** A network that is put on the device when it is needed, and again after the device was lost. */
export class Model {
  #bytes;
  #name;
  #side;
  #network;
  #programs = new Map();
  about;
  /** Whether the network was disposed of, so that nothing new may begin. */
  ended = false;
  /** Whether a training runs. */
  training = false;
  /** The run whose images each program has on the device. */
  runs = new WeakMap();

  constructor(bytes, name, side) {
    this.#bytes = bytes;
    this.#name = name;
    this.#side = side;
  }

  /** The bytes of the network's file: as it was loaded, or with what was learnt since. */
  get bytes() {
    return this.#bytes;
  }

  /** Takes another file for this network, which is put on the device when it is needed next. */
  replace(bytes, name) {
    this.release();
    this.#bytes = bytes;
    this.#name = name;
  }

  trainer(recipe, images, labels) {
    return this.#network.trainer(recipe, images, labels);
  }

  /** The count of numbers in an image. */
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

  /** Refuses what are not the numbers of `count` images in [0, 1]; `index` is the first one's, of those that the caller gave. */
  expect(images, count, index) {
    if (!Number.isInteger(count) || count < 1 || images.length !== count * this.size) {
      const { channels, side } = this.about;
      throw named('Mismatch', `image: got ${images.length} numbers; expected ${this.size} (${channels}×${side}×${side}) for each of ${count} images`);
    }
    unit('image', images, this.size, index);
  }

  row(logits, index) {
    const { classes } = this.about;
    return logits.slice(index * classes, (index + 1) * classes);
  }

  /** Reads each image's logits in both ways, as class probabilities and as energies. */
  readings(logits, images, topK = 5) {
    const count = logits.length / this.about.classes;
    return Array.from({ length: count }, (_, i) => ({ ...reading(this.row(logits, i), this.about.classNames, topK), image: images.slice(i * this.size, (i + 1) * this.size) }));
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

  ascent(images, objective, norm, eps, stepSize) {
    const key = ['ascent', images, objective, norm, eps, stepSize].join();
    return this.#program(key, () => this.#network.ascent(images, objective, norm, eps, stepSize));
  }

  async logits(images) {
    const count = images.length / this.size;
    const batch = Math.min(count, BATCH);
    const classifier = await this.#program(['classifier', batch].join(), () => this.#network.classifier(batch));
    const logits = await classifier.logits(images);
    finite(logits, this.about.classes);
    return logits;
  }
}
