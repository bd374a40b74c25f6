// The page's section on sampling: draws an image step by step, with a player over its steps, the energy curve, and exports.

import { LineChart } from './chart.js';
import { code, search } from './code.js';
import { paint, save } from './draw.js';
import { gif } from './gif.js';
import { toBlob, toCanvas } from './lapidary/picture.js';
import { by, enable, explainError, say, tell } from './main.js';

/** Milliseconds that a step is shown. */
const SHOWN = 90;

/** Pixels of an image's side in files, about: whole multiples of its own, so that nothing is lost. */
const SAVED = 256;

const still = matchMedia('(prefers-reduced-motion: reduce)');

/** What the address carries, by the field that shows it. */
const KEYS = { seed: 'seed', steps: 'steps', 'step-size': 'size' };

/** A number as a field allows it. */
const within = ({ min, max }, value) => Math.min(Number(max), Math.max(Number(min), Number(value) || 0));
const mean = (energies) => energies.reduce((sum, energy) => sum + energy, 0) / energies.length;

/** What a run came to. */
function outcome({ classNames, frames, steps }) {
  const [from, to] = [frames[0], frames.at(-1)].map(({ energies }) => mean(energies).toFixed(2));
  const [what, whose] = classNames.length > 1 ? [`${classNames.length} images`, 'mean energy'] : [classNames[0], 'energy'];
  return `${what}: ${whose} from ${from} to ${to} in ${steps} steps.`;
}

export class SamplePart {
  #shared;
  #model;
  #chart = new LineChart(by('energy-chart'), ['step', 'energy'], 'Energy by step');
  /** What is played: classes, and for each step images and energies. */
  #run;
  #position = 0;
  #playing = false;
  #timer;
  #abort;
  #canvases = [];

  constructor(shared) {
    this.#shared = shared;
    const query = new URLSearchParams(location.search);
    for (const [id, key] of Object.entries(KEYS)) {
      const value = query.get(key);
      if (value !== null && value !== '' && Number.isFinite(Number(value))) by(id).value = within(by(id), value);
    }
    this.wanted = query.get('class');
    by('smooth').onchange = () => document.body.classList.toggle('smooth', by('smooth').checked);
    by('sample-form').onsubmit = (event) => {
      event.preventDefault();
      this.sample();
    };
    by('abort').onclick = () => this.#abort?.abort();
    by('new-seed').onclick = () => {
      by('seed').value = Math.floor(Math.random() * 1e6);
      if (this.#model) this.sample();
    };
    for (const id of Object.keys(KEYS)) by(id).onchange = () => this.#remember();
    by('copy-link').onclick = () => this.#copyLink();
    by('export-gif').onclick = () => this.#saveGif();
    by('play').onclick = () => this.#play(!this.#playing);
    by('step').onclick = () => {
      this.#play(false);
      this.#go((this.#position + 1) % this.#run.frames.length);
    };
    by('scrub').oninput = ({ target }) => {
      this.#play(false);
      this.#go(Number(target.value));
    };
    by('export-png').onclick = () => this.#savePng();
    by('export-trajectory').onclick = () => this.#saveTrajectory();
  }

  /** Takes another network; what the one before was drawing is given up and drawn again by this one. */
  use(model) {
    if (this.#model === model) return;
    this.#model = model;
    this.#chips(model.about.classNames);
    by('sample').disabled = by('classes').inert = false;
    this.#remember();
    if (!by('abort').disabled) this.sample();
  }

  disable() {
    this.#abort?.abort();
    by('sample').disabled = by('classes').inert = true;
  }

  /** The last image shown, for the other parts. */
  get image() {
    const { channels, side, frames } = this.#run ?? {};
    return frames && frames.at(-1).images.subarray(0, channels * side * side);
  }

  #chips(names) {
    const all = names.length <= 20 ? [...names, 'each class'] : names;
    const chosen = this.wanted ?? (names.length <= 20 ? 'all' : '0');
    by('classes').replaceChildren(
      ...all.map((name, i) => {
        const chip = Object.assign(document.createElement('label'), { className: 'chip' });
        const value = i < names.length ? String(i) : 'all';
        const input = Object.assign(document.createElement('input'), { type: 'radio', name: 'class', value, checked: value === chosen });
        chip.append(input, Object.assign(document.createElement('span'), { textContent: name }));
        input.onchange = () => this.sample();
        return chip;
      }),
    );
    if (!document.querySelector('input[name=class]:checked')) document.querySelector('input[name=class]').checked = true;
  }

  #settings() {
    const chosen = document.querySelector('input[name=class]:checked').value;
    const classes = chosen === 'all' ? [...this.#model.about.classNames.keys()] : [Number(chosen)];
    const number = (id) => within(by(id), by(id).value);
    return { chosen, classes, seed: Math.floor(number('seed')), steps: Math.floor(number('steps')), stepSize: number('step-size') };
  }

  /** The address gives the same image again; so do the lines of code. */
  #remember() {
    if (!this.#model) return;
    const { chosen, classes, seed, steps, stepSize } = this.#settings();
    const network = this.#shared.network();
    history.replaceState(null, '', `?${search({ chosen, seed, steps, stepSize }, network)}${location.hash}`);
    by('code').textContent = code({ classes, seed, steps, stepSize }, this.#model.about, network);
  }

  /** Draws; what is being drawn is given up for it. */
  async sample() {
    const { classes, seed, steps, stepSize } = this.#settings();
    const { channels, side, classNames } = this.#model.about;
    this.#remember();
    this.#abort?.abort();
    const mine = (this.#abort = new AbortController());
    const current = () => mine === this.#abort;
    by('abort').disabled = false;
    tell('draw-state', 'Preparing …', { passing: true });
    const run = { classes, classNames: classes.map((i) => classNames[i]), channels, side, seed, steps, stepSize, network: this.#shared.network(), frames: [] };
    this.show(run);
    const { frames } = run;
    const energy = classes.length > 1 ? 'mean energy' : 'energy';
    try {
      const onStep = ({ step, images, energies }) => {
        if (!current()) return;
        frames.push({ images, energies });
        if (step === 0) this.#go(0);
        this.#bounds();
        tell('draw-state', `Step ${step} of ${steps}: ${energy} ${mean(energies).toFixed(2)}`, { passing: true });
      };
      // The clouds that it begins with are there at once.
      const clouds = await this.#model.starts(seed, classes.length);
      if (!current()) return;
      if (!frames.length) this.#paint(clouds);
      this.#play(true);
      await this.#model.sample({ classes, seed, steps, stepSize, onStep, signal: mine.signal });
      tell('draw-state', outcome(run));
      if (still.matches) this.#go(frames.length - 1);
      document.documentElement.dataset.sampled = String(Number(document.documentElement.dataset.sampled ?? 0) + 1);
    } catch (error) {
      if (current()) tell('draw-state', explainError(error), { bad: error?.name !== 'AbortError' });
    } finally {
      if (current()) enable('abort', false, 'sample');
      await this.#shared.strip().catch(() => undefined);
    }
  }

  /** Shows a run: the one being made, or a recorded one. */
  show(run) {
    if (run.encoding) run = decoded(run);
    this.#run = run;
    this.#position = 0;
    by('frames').classList.toggle('many', run.classes.length > 1);
    by('energy-caption').textContent = `${run.classes.length > 1 ? `Mean of the ${run.classes.length} images’ energies` : 'Energy'} E(x, y) = \u2212f(x)[y] at each step`;
    this.#canvases = run.classNames.map((name) => {
      const canvas = document.createElement('canvas');
      canvas.setAttribute('role', 'img');
      canvas.setAttribute('aria-label', `${name}, as drawn so far`);
      paint(canvas, new Float32Array(run.channels * run.side ** 2), run.channels, run.side);
      return canvas;
    });
    by('frames').replaceChildren(
      ...this.#canvases.map((canvas, i) => {
        const figure = document.createElement('figure');
        figure.append(canvas, Object.assign(document.createElement('figcaption'), { textContent: run.classNames[i] }));
        return figure;
      }),
    );
    this.#bounds();
    this.#go(0);
    if (!run.frames.length) return;
    tell('draw-state', `Recorded. ${outcome(run)}`);
    this.#play(!still.matches);
  }

  #bounds() {
    const { frames } = this.#run;
    by('scrub').max = Math.max(frames.length - 1, 0);
    for (const id of ['scrub', 'play', 'step', 'copy-link', 'export-png', 'export-gif', 'export-trajectory', 'use-sample']) by(id).disabled = frames.length === 0 || (id === 'use-sample' && !this.#model);
    this.#plot();
  }

  /** Shows another step than before, and its images. */
  #go(position) {
    this.#position = Math.min(position, Math.max(this.#run.frames.length - 1, 0));
    by('scrub').value = this.#position;
    by('position').textContent = this.#position;
    const frame = this.#run.frames[this.#position];
    if (frame) this.#paint(frame.images);
    this.#plot();
  }

  #plot() {
    this.#chart.update(this.#run.frames.map(({ energies }) => mean(energies)), this.#position);
  }

  #paint(images) {
    const { channels, side } = this.#run;
    const size = channels * side * side;
    this.#canvases.forEach((canvas, i) => paint(canvas, images.subarray(i * size, (i + 1) * size), channels, side));
  }

  #play(playing) {
    clearInterval(this.#timer);
    this.#playing = playing;
    by('play').textContent = playing ? 'Pause' : 'Play';
    if (!playing) return;
    const { frames } = this.#run;
    if (frames.length && this.#position === frames.length - 1 && by('abort').disabled) this.#go(0);
    this.#timer = setInterval(() => {
      if (this.#position < this.#run.frames.length - 1) this.#go(this.#position + 1);
      else if (by('abort').disabled) this.#play(false);
    }, SHOWN);
  }

  /** What files are called, and how images lie in them: in one picture, large. */
  #sheet() {
    const { classes, classNames, seed, channels, side } = this.#run;
    const name = classes.length > 1 ? 'classes' : classNames[0].replace(/[^\p{L}\p{N}]+/gu, '-');
    const layout = { channels, side, scale: Math.max(1, Math.round(SAVED / side)), smooth: by('smooth').checked, columns: classes.length > 5 ? 5 : classes.length };
    return { name: `lapidary-${name}-seed${seed}`, layout };
  }

  async #savePng() {
    const { name, layout } = this.#sheet();
    save(await toBlob(this.#run.frames[this.#position].images, layout), `${name}-step${this.#position}.png`);
  }

  #saveGif() {
    const { name, layout } = this.#sheet();
    // Half the size, as there are many of them.
    const small = { ...layout, scale: Math.max(1, layout.scale / 2) };
    save(gif(this.#run.frames.map(({ images }) => toCanvas(images, small)), SHOWN), `${name}.gif`);
  }

  async #copyLink() {
    const { classes, seed, steps, stepSize, network } = this.#run;
    const link = new URL(location.href);
    link.search = search({ chosen: classes.length > 1 ? 'all' : classes[0], seed, steps, stepSize }, network);
    link.hash = '';
    const missing = network?.file && `A link cannot carry the network: whoever opens it has to choose the file ${network.file} on the page.`;
    try {
      await navigator.clipboard.writeText(link.href);
      tell('draw-state', `The link is in the clipboard. ${missing ?? 'Opening it draws the same again.'}`);
    } catch {
      // Without the right to write there, it is shown to be copied.
      tell('draw-state', `${link.href} ${missing ?? ''}`);
    }
  }

  #saveTrajectory() {
    const blob = new Blob([JSON.stringify(encoded(this.#run))], { type: 'application/json' });
    save(blob, `lapidary-trajectory-seed${this.#run.seed}.json`);
  }
}

/** A run as JSON: 8 bits a value, base64. */
function encoded({ frames, ...about }) {
  const text = (images) => btoa(String.fromCharCode(...Uint8Array.from(images, (value) => Math.round(255 * value))));
  return { encoding: 'u8-base64', ...about, frames: frames.map(({ images, energies }) => ({ images: text(images), energies: Array.from(energies, (energy) => Number(energy.toFixed(4))) })) };
}

function decoded({ encoding, frames, ...about }) {
  if (encoding !== 'u8-base64') throw new Error(`its images are encoded as ${encoding}; expected u8-base64`);
  const numbers = (text) => Float32Array.from(atob(text), (letter) => letter.charCodeAt(0) / 255);
  return { ...about, frames: frames.map(({ images, energies }) => ({ images: numbers(images), energies })) };
}
