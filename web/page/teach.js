// The page's section on training: the visitor's pictures by class, training on them in the page, and the samples before and
// after.

import { LineChart } from './chart.js';
import { decoded, paint, save } from './draw.js';
import { load } from './lapidary/index.js';
import { by, enable, explainError, tell } from './main.js';

/** Pixels of a thumbnail's side. */
const THUMB = 48;
/** What is drawn for comparison: the same clouds before and after. */
const DRAWN = { seed: 1, steps: 60 };
/** Steps over which the shown accuracy is a mean: a batch alone has few pictures. */
const WINDOW = 10;

/** What a taught network's file is called. */
const KEPT = 'model.safetensors';

const percent = (share) => `${Math.round(100 * share)} percent`;
const make = (tag, properties = {}, ...inside) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...inside);
  return made;
};

export class TeachPart {
  #shared;
  #model;
  /** What was taught last, a network of its own beside the page's. */
  #taught;
  /** Classes: the name's field, pictures, and where they are shown. */
  #kinds = [];
  #added = 0;
  #losses = new LineChart(by('teach-loss'), ['step', 'loss'], 'Loss by step', (i) => i + 1);
  #accuracies = new LineChart(by('teach-accuracy'), ['step', 'share'], 'Share of attacked pictures that are classified correctly, by step', (i) => i + 1);
  /** Ends the training that runs and keeps what it learnt; throws it away. */
  #finish;
  #abort;

  constructor(shared) {
    this.#shared = shared;
    by('teach-lesson').onclick = () => this.#lesson();
    by('teach-add').onclick = () => this.#add('').name.focus();
    by('teach').onclick = () => this.#teach();
    by('teach-stop').onclick = () => this.#finish?.abort();
    by('teach-save').onclick = async () => save(await (this.#taught ?? this.#model).save(), KEPT);
    by('teach-use').onclick = () => this.#use();
    this.#add('');
    this.#add('');
  }

  use(model) {
    if (this.#model === model) return;
    this.#model = model;
    this.#forget();
    this.#ready();
  }

  disable() {
    this.#model = undefined;
    this.#forget();
    this.#ready();
  }

  /** Gives up what runs and what was taught. */
  #forget() {
    this.#abort?.abort();
    this.#taught?.dispose().catch(() => undefined);
    this.#taught = undefined;
    enable('teach-save', false);
    enable('teach-use', false, 'teach-save');
  }

  #ready() {
    const filled = this.#kinds.filter(({ pictures }) => pictures.length).length;
    const runs = this.#abort !== undefined;
    // One hands the keyboard's focus to the other.
    enable('teach', this.#model !== undefined && filled >= 2 && !runs, 'teach-stop');
    enable('teach-stop', runs, 'teach');
    if (!this.#abort && filled < 2 && !this.#taught) by('teach-state').textContent = 'At least two classes need pictures.';
  }

  /** A class with a place for pictures. */
  #add(name) {
    const kind = { pictures: [], name: make('input', { type: 'text', value: name, maxLength: 40, placeholder: `class ${++this.#added}` }) };
    kind.thumbs = make('div', { className: 'thumbs' });
    const file = make('input', { type: 'file', accept: 'image/*', multiple: true, onchange: ({ target }) => this.#take(kind, [...target.files]) });
    const remove = make('button', { type: 'button', className: 'small', textContent: 'Remove the class' });
    kind.card = make('fieldset', { className: 'drop kind' }, make('label', { textContent: 'Name ' }, kind.name), kind.thumbs, make('label', { className: 'file', textContent: 'Add pictures ' }, file), remove);
    remove.onclick = () => {
      this.#kinds = this.#kinds.filter((other) => other !== kind);
      kind.card.remove();
      this.#ready();
      by('teach-add').focus();
    };
    for (const type of ['dragover', 'dragleave', 'drop']) {
      kind.card.addEventListener(type, (event) => {
        event.preventDefault();
        kind.card.classList.toggle('over', type === 'dragover');
        if (type === 'drop') this.#take(kind, [...event.dataTransfer.files]);
      });
    }
    this.#kinds.push(kind);
    by('teach-classes').append(kind.card);
    return kind;
  }

  /** Takes the pictures that this browser can read, and says which it cannot. */
  async #take(kind, pictures) {
    const unread = [];
    for (const picture of pictures) {
      const bitmap = await decoded(picture, THUMB).catch(() => unread.push(picture.name) && undefined);
      if (!bitmap) continue;
      const canvas = make('canvas', { width: THUMB, height: THUMB });
      const scale = THUMB / Math.max(bitmap.width, bitmap.height);
      const [width, height] = [bitmap.width * scale, bitmap.height * scale];
      canvas.getContext('2d').drawImage(bitmap, (THUMB - width) / 2, (THUMB - height) / 2, width, height);
      bitmap.close();
      const number = kind.pictures.push(picture);
      const thumb = make('button', { type: 'button', className: 'thumb', title: 'Take it out again' }, canvas);
      thumb.setAttribute('aria-label', `Picture ${number}: take it out again`);
      thumb.onclick = () => {
        kind.pictures = kind.pictures.filter((other) => other !== picture);
        thumb.remove();
        this.#ready();
        kind.name.focus();
      };
      kind.thumbs.append(thumb);
    }
    this.#ready();
    const count = this.#kinds.reduce((sum, { pictures }) => sum + pictures.length, 0);
    if (unread.length) tell('teach-state', `This browser cannot read ${unread.join(', ')} as a picture.`, { bad: true });
    else tell('teach-state', `${count} pictures.`, { passing: true });
  }

  /** Classes with pictures that come with the page. */
  async #lesson() {
    enable('teach-lesson', false);
    try {
      const response = await fetch('lesson.json');
      if (!response.ok) throw new Error(`lesson.json: the server answers ${response.status}`);
      const { side, classes } = await response.json();
      [...this.#kinds].filter(({ pictures }) => !pictures.length).forEach(({ card }) => card.remove());
      this.#kinds = this.#kinds.filter(({ pictures }) => pictures.length);
      for (const { name, images } of classes) {
        const picture = (text) => {
          const data = new ImageData(side, side);
          [...atob(text)].forEach((letter, i) => data.data.set([...Array(3).fill(letter.charCodeAt(0)), 255], 4 * i));
          return data;
        };
        await this.#take(this.#add(name), images.map(picture));
      }
    } catch (error) {
      tell('teach-state', explainError(error), { bad: true });
    }
    enable('teach-lesson', true);
  }

  async #teach() {
    const base = this.#model;
    const kinds = this.#kinds.filter(({ pictures }) => pictures.length);
    const classes = kinds.map(({ name }) => name.value.trim() || name.placeholder);
    const images = kinds.flatMap(({ pictures }) => pictures);
    const labels = kinds.flatMap(({ pictures }, i) => pictures.map(() => i));
    const steps = Math.min(2000, Math.max(1, Math.floor(Number(by('teach-steps').value)) || 200));
    this.#forget();
    const [mine, finish] = [new AbortController(), new AbortController()];
    [this.#abort, this.#finish] = [mine, finish];
    this.#ready();
    let model;
    try {
      tell('teach-state', 'Preparing …');
      by('teach-curves').hidden = false;
      // A copy, so that the other parts keep the network that they have.
      model = await load(new Blob([await (await base.save()).arrayBuffer()]), { beside: base, side: base.about.side, signal: mine.signal });
      await this.#drawn('teach-before', model, classes.map((_, i) => i % model.about.classes), mine.signal);
      const told = { losses: [], right: [], accuracies: [] };
      const began = performance.now();
      const onStep = ({ step, loss, accuracy }) => {
        if (mine.signal.aborted) return;
        told.losses[step - 1] = loss;
        told.right[step - 1] = accuracy;
        const some = told.right.slice(Math.max(0, step - WINDOW), step);
        told.accuracies[step - 1] = some.reduce((sum, share) => sum + share, 0) / some.length;
        this.#losses.update(told.losses);
        this.#accuracies.update(told.accuracies);
        const left = Math.ceil((((performance.now() - began) / step) * (steps - step)) / 1000);
        tell('teach-state', `Step ${step} of ${steps}: loss ${loss.toFixed(2)}; ${percent(told.accuracies[step - 1])} of attacked pictures are classified correctly; about ${left} s left.`, { passing: true });
      };
      const trained = await model.train({ images, labels, classes, steps, onStep, signal: mine.signal, finish: finish.signal });
      await this.#drawn('teach-after', model, [...classes.keys()], mine.signal);
      [this.#taught, model] = [model, undefined];
      enable('teach-save', true);
      enable('teach-use', true);
      const { accuracyBefore, accuracyAfter } = trained;
      tell('teach-state', `${trained.steps} steps: of your ${images.length} pictures ${percent(accuracyAfter)} are classified correctly, ${percent(accuracyBefore)} before.`);
      document.documentElement.dataset.taught = String(Number(document.documentElement.dataset.taught ?? 0) + 1);
    } catch (error) {
      if (!mine.signal.aborted) tell('teach-state', explainError(error), { bad: true });
    } finally {
      model?.dispose().catch(() => undefined);
      if (this.#abort === mine) this.#abort = this.#finish = undefined;
      this.#ready();
    }
    await this.#shared.strip().catch(() => undefined);
  }

  /** Draws an image of each class from the same clouds each time. */
  async #drawn(id, model, classes, signal) {
    const { channels, side, classNames } = model.about;
    const { images } = await model.sample({ ...DRAWN, classes, signal });
    const size = channels * side * side;
    by('teach-drawn').hidden = false;
    by(id).replaceChildren(...classes.map((label, i) => {
      const canvas = document.createElement('canvas');
      paint(canvas, images.subarray(i * size, (i + 1) * size), channels, side);
      canvas.setAttribute('role', 'img');
      canvas.setAttribute('aria-label', `${classNames[label]}, as the network draws it`);
      return make('figure', {}, canvas, make('figcaption', { textContent: classNames[label] }));
    }));
    if (id === 'teach-before') by('teach-after').replaceChildren(make('p', { className: 'hint', textContent: 'Training is not over.' }));
  }

  /** Hands what was taught to the other parts, in place of their network. */
  #use() {
    const taught = this.#taught;
    this.#taught = undefined;
    this.#shared.use(taught, { file: KEPT });
    enable('teach-save', true);
    tell('teach-state', 'The parts above use this network now.');
    this.#shared.parts[0].sample();
  }
}
