// Watch it draw: sampling, the player over its steps, the energy curve, exports.

import { LineChart } from './chart.js';
import { paint, png, save } from './draw.js';
import { by, explainError, say } from './main.js';

/** Milliseconds that a step is shown. */
const SHOWN = 90;

const still = matchMedia('(prefers-reduced-motion: reduce)');

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
    if (/^\d+$/.test(query.get('seed') ?? '')) by('seed').value = query.get('seed');
    this.wanted = query.get('class');
    by('sample-form').onsubmit = (event) => {
      event.preventDefault();
      this.sample();
    };
    by('abort').onclick = () => this.#abort?.abort();
    by('new-seed').onclick = () => {
      by('seed').value = Math.floor(Math.random() * 1e6);
      this.#remember();
    };
    by('seed').onchange = () => this.#remember();
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

  use(model) {
    if (this.#model === model) return;
    this.#model = model;
    this.#chips(model.about.classNames);
    by('sample').disabled = false;
    this.#remember();
  }

  disable() {
    this.#abort?.abort();
    by('sample').disabled = true;
  }

  /** The last image shown, for the other parts. */
  get image() {
    const { channels, side, frames } = this.#run ?? {};
    return frames && frames.at(-1).images.subarray(0, channels * side * side);
  }

  #chips(names) {
    const all = names.length <= 20 ? [...names, 'each of them'] : names;
    const chosen = this.wanted ?? '7';
    by('classes').replaceChildren(
      ...all.map((name, i) => {
        const chip = Object.assign(document.createElement('label'), { className: 'chip' });
        const value = i < names.length ? String(i) : 'all';
        const input = Object.assign(document.createElement('input'), { type: 'radio', name: 'class', value, checked: value === chosen });
        chip.append(input, Object.assign(document.createElement('span'), { textContent: name }));
        input.onchange = () => this.#remember();
        return chip;
      }),
    );
    if (!document.querySelector('input[name=class]:checked')) document.querySelector('input[name=class]').checked = true;
  }

  #settings() {
    const chosen = document.querySelector('input[name=class]:checked').value;
    const classes = chosen === 'all' ? [...this.#model.about.classNames.keys()] : [Number(chosen)];
    const number = (id) => Math.min(Number(by(id).max), Math.max(Number(by(id).min), Number(by(id).value) || 0));
    return { chosen, classes, seed: Math.floor(number('seed')), steps: Math.floor(number('steps')), stepSize: number('step-size') };
  }

  /** The address gives the same image again; so do the lines of code. */
  #remember() {
    if (!this.#model) return;
    const { chosen, classes, seed, steps, stepSize } = this.#settings();
    history.replaceState(null, '', `?${new URLSearchParams({ seed, class: chosen })}${location.hash}`);
    const { channels, side } = this.#model.about;
    const named = classes.length === 1 ? ` --class ${classes[0]}` : '';
    by('code').textContent = `# the command line
lapidary sample${named} --count ${classes.length} --seed ${seed} --steps ${steps} --step-size ${stepSize}

// JavaScript
import { load } from './lapidary/index.js';
const model = await load('models/fashion-demo.safetensors');
const { images, energies } = await model.sample({ classes: [${classes}], seed: ${seed}, steps: ${steps}, stepSize: ${stepSize} });

// Rust
let starts = BatchSource::fractal(SAMPLE_STARTS, ${seed}, ${classes.length}, Fractal::new(${channels}, ${side})?)?.batch(0)?.images;
let settings = Pgd { norm: Norm::L2, eps: f32::INFINITY, step_size: ${stepSize}, steps: ${steps}, objective: Objective::Joint, statistics: Statistics::Frozen };
let sampler = Attack::new(&model, &weights, [${classes.length}, ${side}], settings, true).await?;
let images = sampler.attack(&starts, &[${classes}]).await?;
`;
  }

  async sample() {
    const { classes, seed, steps, stepSize } = this.#settings();
    const { channels, side, classNames } = this.#model.about;
    this.#remember();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    by('sample').disabled = true;
    by('abort').disabled = false;
    this.show({ classes, classNames: classes.map((i) => classNames[i]), channels, side, seed, steps, stepSize, frames: [] });
    const { frames } = this.#run;
    try {
      const onStep = ({ step, images, energies }) => {
        frames.push({ images, energies });
        if (step === 0) this.#go(0);
        this.#bounds();
        say(`Step ${step} of ${steps}: energy ${energies[0].toFixed(2)}`, { passing: true });
      };
      this.#play(true);
      const { energies } = await this.#model.sample({ classes, seed, steps, stepSize, onStep, signal });
      say(`${this.#run.classNames.join(', ')}: energy from ${frames[0].energies[0].toFixed(2)} to ${energies[0].toFixed(2)} in ${steps} steps.`);
      if (still.matches) this.#go(frames.length - 1);
      document.documentElement.dataset.sampled = String(Number(document.documentElement.dataset.sampled ?? 0) + 1);
    } catch (error) {
      say(explainError(error));
    } finally {
      by('sample').disabled = false;
      by('abort').disabled = true;
      await this.#shared.strip().catch(() => undefined);
    }
  }

  /** Shows a run: the one being made, or a recorded one. */
  show(run) {
    if (run.encoding) run = decoded(run);
    this.#run = run;
    this.#position = 0;
    by('frames').classList.toggle('many', run.classes.length > 1);
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
    if (run.frames.length) this.#play(!still.matches);
  }

  #bounds() {
    const { frames } = this.#run;
    by('scrub').max = Math.max(frames.length - 1, 0);
    for (const id of ['scrub', 'play', 'step', 'export-png', 'export-trajectory', 'use-sample']) by(id).disabled = frames.length === 0 || (id === 'use-sample' && !this.#model);
    if (!still.matches || !this.#playing) this.#draw();
  }

  #go(position) {
    this.#position = Math.min(position, Math.max(this.#run.frames.length - 1, 0));
    by('scrub').value = this.#position;
    by('position').textContent = this.#position;
    this.#draw();
  }

  #draw() {
    const { frames, channels, side } = this.#run;
    const frame = frames[this.#position];
    if (!frame) return this.#chart.update([]);
    const size = channels * side * side;
    this.#canvases.forEach((canvas, i) => paint(canvas, frame.images.subarray(i * size, (i + 1) * size), channels, side));
    const mean = ({ energies }) => energies.reduce((sum, energy) => sum + energy, 0) / energies.length;
    return this.#chart.update(frames.map(mean), this.#position);
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

  async #savePng() {
    const { classes, seed, channels, side, frames } = this.#run;
    const size = channels * side * side;
    for (const [i, label] of classes.entries()) {
      const image = frames[this.#position].images.subarray(i * size, (i + 1) * size);
      save(await png(image, channels, side), `lapidary-${label}-seed${seed}-step${this.#position}.png`);
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
  if (encoding !== 'u8-base64') throw new Error(`encoding ${encoding}, u8-base64 wanted`);
  const numbers = (text) => Float32Array.from(atob(text), (letter) => letter.charCodeAt(0) / 255);
  return { ...about, frames: frames.map(({ images, energies }) => ({ images: numbers(images), energies })) };
}
