// The page's section on one image: the visitor chooses, drops, pastes or draws it, and sees the class probabilities and what
// would make it another class.

import { watch } from './camera.js';
import { bars, unbar } from './chart.js';
import { decoded, paint, paintDifference } from './draw.js';
import { toImageData as pixels } from './lapidary/picture.js';
import { by, enable, explainError, say, tell } from './main.js';

/** The pad is so many pixels wide; a stroke is as wide as a sixteenth of it. */
const PAD = 224;
const STROKE = 18;

/** Makes the pad black again, to be drawn on in white. */
function blank() {
  const context = by('pad').getContext('2d', { willReadFrequently: true });
  context.fillStyle = '#000';
  context.fillRect(0, 0, PAD, PAD);
}

export class ImagePart {
  #shared;
  #model;
  /** The image as the network takes it. */
  #image;
  #asked = 0;
  /** Stops the explanation that runs. */
  #explaining;
  /** Stops the camera. */
  #camera;
  #cursor = [PAD / 2, PAD / 2];

  constructor(shared) {
    this.#shared = shared;
    this.#pad();
    const drop = by('drop');
    for (const type of ['dragover', 'dragleave', 'drop']) {
      drop.addEventListener(type, (event) => {
        event.preventDefault();
        drop.classList.toggle('over', type === 'dragover');
        if (type === 'drop') shared.take(event.dataTransfer.files[0]);
      });
    }
    addEventListener('paste', (event) => this.open(event.clipboardData?.files[0]));
    by('image-file').onchange = ({ target }) => this.open(target.files[0]);
    by('use-sample').onclick = () => this.ask(shared.parts[0].image);
    by('camera').onclick = () => (this.#camera ? this.#camera.abort() : this.#watch());
    by('clear-pad').onclick = () => this.#clear();
    by('eps').oninput = ({ target }) => (by('eps-value').textContent = target.value);
    by('explain').onclick = () => this.#explain();
    by('wipe').oninput = ({ target }) => this.#wipe(Number(target.value));
  }

  /** For the part that attacks it. */
  get image() {
    return this.#image;
  }

  async use(model) {
    if (this.#model === model) return;
    this.#model = model;
    this.#camera?.abort();
    by('camera').disabled = false;
    this.#giveUp();
    by('target').replaceChildren(...model.about.classNames.map((name, i) => new Option(name, i)));
    await this.#examples();
  }

  disable() {
    this.#camera?.abort();
    by('camera').disabled = true;
    this.#giveUp();
  }

  /** What was said of an image is no longer true: there is another, or none. */
  #giveUp() {
    this.#image = undefined;
    this.#explaining?.abort();
    by('explanation').hidden = true;
    by('explained').textContent = '';
    by('explain').disabled = true;
  }

  async #examples() {
    const { names, images, side } = await (await fetch('examples.json')).json();
    const buttons = names.map((name, i) => {
      const button = Object.assign(document.createElement('button'), { type: 'button', title: name });
      button.setAttribute('aria-label', `Test image: ${name}`);
      button.setAttribute('aria-pressed', 'false');
      const grey = Float32Array.from(atob(images[i]), (letter) => letter.charCodeAt(0) / 255);
      const canvas = document.createElement('canvas');
      paint(canvas, grey, 1, side);
      button.append(canvas);
      button.onclick = () => {
        this.ask(pixels(grey, { channels: 1, side }), { button });
      };
      return button;
    });
    by('examples').replaceChildren(...buttons);
    buttons[7]?.click();
  }

  /** A file is read in the worker; the pad shows a small copy of it. */
  async open(file) {
    if (!file) return;
    if (!file.size) return void tell('image-state', `${file.name}: the file is empty.`, { bad: true });
    await this.ask(file);
  }

  /** Classifies what the camera sees, until it is stopped or another image is chosen; the last frame stays. */
  async #watch() {
    const mine = (this.#camera = new AbortController());
    by('camera').textContent = 'Take this picture';
    try {
      await watch((frame) => this.ask(frame, { live: true }), mine.signal);
    } catch (error) {
      tell('image-state', explainError(error), { bad: true });
    } finally {
      this.#camera = undefined;
      by('camera').textContent = 'Use the camera';
    }
  }

  /** Shows an image, unless it is the pad's own, and classifies it; a `live` one is followed by the next. */
  async ask(image, { onPad = true, live = false, button } = {}) {
    if (!this.#model || !image) return;
    if (!live) this.#camera?.abort();
    const turn = ++this.#asked;
    const model = this.#model;
    this.#giveUp();
    for (const other of by('examples').children) other.setAttribute('aria-pressed', String(other === button));
    if (!live) tell('image-state', image instanceof File ? `Reading ${image.name} …` : '', { passing: true });
    try {
      const shown = image instanceof Float32Array ? pixels(image, model.about) : image;
      const [reading] = await Promise.all([model.classify(image), onPad && this.#onPad(shown, () => turn === this.#asked)]);
      if (turn !== this.#asked) return;
      this.#image = reading.image;
      const { channels, side, classNames } = model.about;
      paint(by('seen'), reading.image, channels, side);
      by('seen-size').textContent = `The network sees this: ${side}×${side} pixels in ${channels === 1 ? 'grey' : 'colour'}.`;
      bars(by('posterior'), classNames, reading);
      by('explain').disabled = classNames.length < 2;
      if (Number(by('target').value) === reading.class) by('target').value = (reading.class + 1) % classNames.length;
      tell('image-state', `${reading.className}, ${(100 * reading.probabilities[reading.class]).toFixed(0)} percent.`, { passing: live });
      document.documentElement.dataset.classified = String(turn);
    } catch (error) {
      if (turn !== this.#asked) return;
      // Nothing of the image before is left that could be taken for this one's, nor comes this one on the pad still.
      this.#asked++;
      if (onPad) blank();
      by('seen').getContext('2d').fillRect(0, 0, PAD, PAD);
      unbar(by('posterior'));
      by('seen-size').textContent = 'The network sees nothing yet.';
      tell('image-state', explainError(error), { bad: true });
    }
  }

  /** The whole image, as large as it goes. */
  async #onPad(image, current) {
    const shown = image instanceof ImageBitmap ? image : await decoded(image, 2 * PAD).catch(() => undefined);
    if (!shown || !current()) return;
    const context = by('pad').getContext('2d');
    blank();
    context.imageSmoothingEnabled = shown.width > PAD;
    const scale = PAD / Math.max(shown.width, shown.height);
    const [width, height] = [shown.width * scale, shown.height * scale];
    const [left, top] = [(PAD - width) / 2, (PAD - height) / 2];
    // As the network's reader has it, what is transparent lies on white.
    context.fillStyle = '#fff';
    context.fillRect(left, top, width, height);
    context.drawImage(shown, left, top, width, height);
  }

  /** Drawing with a pointer, or with arrows and space. */
  #pad() {
    const pad = by('pad');
    const context = pad.getContext('2d', { willReadFrequently: true });
    blank();
    const classify = () => this.ask(context.getImageData(0, 0, PAD, PAD), { onPad: false });
    const line = (from, to) => {
      Object.assign(context, { strokeStyle: '#fff', lineWidth: STROKE, lineCap: 'round' });
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.stroke();
    };
    const place = ({ offsetX, offsetY }) => [(offsetX * PAD) / pad.clientWidth, (offsetY * PAD) / pad.clientHeight];
    const show = () => ['left', 'top'].forEach((edge, i) => (by('pen').style[edge] = `${(100 * this.#cursor[i]) / PAD}%`));
    show();
    let last;
    pad.onpointerdown = (event) => {
      pad.setPointerCapture(event.pointerId);
      last = place(event);
      line(last, last);
    };
    pad.onpointermove = (event) => {
      if (last) line(last, (last = place(event)));
    };
    pad.onpointerup = pad.onpointercancel = () => {
      if (last) classify();
      last = undefined;
    };
    pad.onkeydown = (event) => {
      const moves = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] };
      const move = moves[event.key];
      if (move) {
        const before = this.#cursor;
        this.#cursor = before.map((at, i) => Math.min(PAD, Math.max(0, at + move[i])));
        show();
        if (event.shiftKey) {
          line(before, this.#cursor);
          classify();
        }
      } else if (event.key === ' ') {
        line(this.#cursor, this.#cursor);
        classify();
      } else if (event.key === 'Backspace') this.#clear();
      else return;
      event.preventDefault();
      say(`Pen at ${this.#cursor.map((at) => Math.round((100 * at) / PAD)).join(', ')} percent.`, { passing: true });
    };
  }

  #clear() {
    blank();
    this.ask(by('pad').getContext('2d').getImageData(0, 0, PAD, PAD), { onPad: false });
  }

  async #explain() {
    const target = Number(by('target').value);
    const { channels, side, classNames } = this.#model.about;
    const mine = (this.#explaining = new AbortController());
    enable('explain', false);
    tell('explained', 'Looking …', { passing: true });
    try {
      const result = await this.#model.explain(this.#image, target, { eps: Number(by('eps').value), signal: mine.signal });
      const { before, after, difference, distance } = result;
      const share = (reading) => `${(100 * reading.probabilities[target]).toFixed(1)} %`;
      const verdict = before.class === after.class ? `still ${after.className}` : `${before.className} became ${after.className}`;
      by('explanation').hidden = false;
      paint(by('before'), before.image, channels, side);
      paint(by('after'), after.image, channels, side);
      const most = paintDifference(by('difference'), difference, channels, side);
      for (const id of ['before', 'after', 'difference']) by(id).style.width = '224px';
      by('difference-scale').textContent = `Blue: darker, orange: lighter, by up to ${Math.round(100 * most)} percent of full brightness.`;
      this.#wipe(Number(by('wipe').value));
      tell('explained', `${classNames[target]}: ${share(before)} before, ${share(after)} after; ${verdict} at a distance of ${distance.toFixed(2)}.`);
      await this.#shared.strip().catch(() => undefined);
    } catch (error) {
      // Another image was chosen meanwhile.
      if (!mine.signal.aborted) tell('explained', explainError(error), { bad: true });
    } finally {
      if (mine === this.#explaining && this.#image) enable('explain', true);
    }
  }

  #wipe(percent) {
    by('before').style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
  }
}
