// Ask about an image: from a test image, a file, the clipboard or the pad; its posterior; and what would make it another.

import { bars } from './chart.js';
import { paint, paintDifference, pixels } from './draw.js';
import { by, explainError, say } from './main.js';

/** The pad is so many pixels wide; a stroke is as wide as a sixteenth of it. */
const PAD = 224;
const STROKE = 18;

export class ImagePart {
  #shared;
  #model;
  /** The image as the network takes it, and what it made of it. */
  #image;
  #reading;
  #asked = 0;
  #cursor = [PAD / 2, PAD / 2];

  constructor(shared) {
    this.#shared = shared;
    this.#pad();
    const drop = by('drop');
    for (const type of ['dragover', 'dragleave', 'drop']) {
      drop.addEventListener(type, (event) => {
        event.preventDefault();
        drop.classList.toggle('over', type === 'dragover');
        if (type === 'drop') this.#file(event.dataTransfer.files[0]);
      });
    }
    addEventListener('paste', (event) => this.#file(event.clipboardData?.files[0]));
    by('image-file').onchange = ({ target }) => this.#file(target.files[0]);
    by('use-sample').onclick = () => this.ask(shared.parts[0].image);
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
    this.#image = undefined;
    by('explanation').hidden = true;
    by('target').replaceChildren(...model.about.classNames.map((name, i) => new Option(name, i)));
    by('explain').disabled = false;
    await this.#examples();
  }

  disable() {
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
        buttons.forEach((other) => other.setAttribute('aria-pressed', String(other === button)));
        this.ask(pixels(grey, 1, side));
      };
      return button;
    });
    by('examples').replaceChildren(...buttons);
    buttons[7]?.click();
  }

  async #file(file) {
    if (!file) return;
    try {
      await this.ask(await createImageBitmap(file, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' }));
    } catch (error) {
      say(`${file.name}: no picture (${error.message})`);
    }
  }

  /** Shows an image and classifies it. */
  async ask(image) {
    if (!this.#model || !image) return;
    const turn = ++this.#asked;
    if (!(image instanceof Float32Array)) this.#onPad(image);
    try {
      const reading = await this.#model.classify(image);
      if (turn !== this.#asked) return;
      this.#image = reading.image;
      this.#reading = reading;
      const { channels, side, classNames } = this.#model.about;
      if (image instanceof Float32Array) {
        const canvas = document.createElement('canvas');
        paint(canvas, image, channels, side);
        this.#onPad(canvas);
      }
      bars(by('posterior'), classNames, reading);
      by('explanation').hidden = true;
      by('explained').textContent = '';
      if (Number(by('target').value) === reading.class) by('target').value = (reading.class + 1) % classNames.length;
      say(`${reading.className}, ${(100 * reading.probabilities[reading.class]).toFixed(0)} percent.`);
      document.documentElement.dataset.classified = String(turn);
    } catch (error) {
      say(explainError(error));
    }
  }

  #onPad(image) {
    const context = by('pad').getContext('2d');
    context.imageSmoothingEnabled = false;
    context.fillStyle = '#000';
    context.fillRect(0, 0, PAD, PAD);
    const canvas = document.createElement('canvas');
    if (image instanceof ImageData) {
      [canvas.width, canvas.height] = [image.width, image.height];
      canvas.getContext('2d').putImageData(image, 0, 0);
      image = canvas;
    }
    const scale = PAD / Math.max(image.width, image.height);
    const [width, height] = [image.width * scale, image.height * scale];
    context.drawImage(image, (PAD - width) / 2, (PAD - height) / 2, width, height);
  }

  /** Drawing with a pointer, or with arrows and space. */
  #pad() {
    const pad = by('pad');
    const context = pad.getContext('2d', { willReadFrequently: true });
    context.fillRect(0, 0, PAD, PAD);
    const classify = () => this.ask(context.getImageData(0, 0, PAD, PAD));
    const line = (from, to) => {
      Object.assign(context, { strokeStyle: '#fff', lineWidth: STROKE, lineCap: 'round' });
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.stroke();
    };
    const place = ({ offsetX, offsetY }) => [(offsetX * PAD) / pad.clientWidth, (offsetY * PAD) / pad.clientHeight];
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
    by('pad').getContext('2d').fillRect(0, 0, PAD, PAD);
    this.ask(by('pad').getContext('2d').getImageData(0, 0, PAD, PAD));
  }

  async #explain() {
    const target = Number(by('target').value);
    const { channels, side, classNames } = this.#model.about;
    by('explain').disabled = true;
    try {
      const result = await this.#model.explain(this.#image, target, { eps: Number(by('eps').value) });
      const { before, after, difference, distance } = result;
      const share = (reading) => `${(100 * reading.probabilities[target]).toFixed(1)} %`;
      const verdict = before.class === after.class ? `it is still ${after.className}` : `${before.className} became ${after.className}`;
      by('explained').textContent = `${classNames[target]}: ${share(before)} before, ${share(after)} after; ${verdict} at a distance of ${distance.toFixed(2)}.`;
      by('explanation').hidden = false;
      paint(by('before'), before.image, channels, side);
      paint(by('after'), after.image, channels, side);
      const most = paintDifference(by('difference'), difference, channels, side);
      for (const id of ['before', 'after', 'difference']) by(id).style.width = '224px';
      by('difference-scale').textContent = `Blue: darker, orange: lighter, by up to ${most.toFixed(2)}.`;
      this.#wipe(Number(by('wipe').value));
      say(by('explained').textContent);
      await this.#shared.strip();
    } catch (error) {
      by('explained').textContent = explainError(error);
    } finally {
      by('explain').disabled = false;
    }
  }

  #wipe(percent) {
    by('before').style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
  }
}
