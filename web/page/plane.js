// The page's section on points in the plane: the visitor places points, a tiny model learns them, and its energy is shown as a
// landscape.

import { LineChart } from './chart.js';
import { cividis } from './draw.js';
import { by, explainError, say, tell } from './main.js';

const NAMES = ['circles', 'squares', 'triangles'];
/** Apart in hue and in lightness on dark and light ground (Okabe and Ito 2008). */
const COLOURS = ['#56b4e9', '#e69f00', '#ffffff'];
const SIDE = 384;
/** Updates between two drawings. */
const STEPS = 5;

export class PlanePart {
  #model;
  #toy;
  #points = [];
  #chart = new LineChart(by('loss-chart'), ['update', 'loss'], 'Loss in the plane', (i) => this.#updates - STEPS * (this.#losses.length - 1 - i));
  #losses = [];
  #updates = 0;
  #land;
  #contrastive = new Float32Array();
  #training = false;
  /** Whether the loop over updates has not ended yet. */
  #looping = false;
  #cursor = [0.5, 0.5];
  #seed = 0;

  constructor() {
    by('plane-classes').replaceChildren(
      ...NAMES.map((name, i) => {
        const chip = Object.assign(document.createElement('label'), { className: 'chip' });
        const input = Object.assign(document.createElement('input'), { type: 'radio', name: 'plane-class', value: i, checked: i === 0 });
        chip.append(input, Object.assign(document.createElement('span'), { textContent: name }));
        return chip;
      }),
    );
    // Three arcs to begin with.
    for (let i = 0; i < 36; i++) {
      const [label, t] = [i % 3, Math.floor(i / 3) / 11];
      const angle = (2 * Math.PI * (label + 0.75 * t)) / 3;
      const radius = 0.2 + 0.16 * t;
      this.#points.push([0.5 + radius * Math.cos(angle), 0.5 + radius * Math.sin(angle), label]);
    }
    const square = by('square');
    const put = (x, y) => {
      const label = Number(document.querySelector('input[name=plane-class]:checked').value);
      this.#points.push([x, y, label]);
      this.#draw();
      say(`${this.#points.length} points.`);
    };
    square.onpointerdown = (event) => put(Math.min(1, event.offsetX / square.clientWidth), Math.min(1, event.offsetY / square.clientHeight));
    square.onkeydown = (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (move) this.#cursor = this.#cursor.map((at, i) => Math.min(1, Math.max(0, at + 0.04 * move[i])));
      else if (event.key === ' ' || event.key === 'Enter') put(...this.#cursor);
      else return;
      event.preventDefault();
      this.#draw();
    };
    square.onfocus = square.onblur = () => this.#draw();
    by('train').onclick = () => (this.#training ? this.#stop() : this.#train());
    by('restart').onclick = () => this.#restart();
    by('clear-points').onclick = () => {
      this.#points = [];
      this.#stop();
      this.#draw();
    };
    this.#draw();
  }

  use(model) {
    // A model of the one before goes with it.
    if (this.#model && this.#model !== model) this.#restart();
    this.#model = model;
    by('train').disabled = by('restart').disabled = false;
  }

  disable() {
    this.#stop();
    by('train').disabled = by('restart').disabled = true;
  }

  async #restart() {
    const toy = this.#toy;
    this.#toy = undefined;
    this.#seed++;
    this.#losses = [];
    this.#land = undefined;
    this.#contrastive = new Float32Array();
    this.#chart.update([]);
    this.#draw();
    tell('plane-state', 'New weights.');
    // It goes when what runs on it has ended; a loop that asks more of it hears that it is gone.
    await toy?.free().catch(() => undefined);
  }

  #stop() {
    this.#training = false;
    by('train').textContent = 'Train';
  }

  async #train() {
    if (!this.#points.length) return tell('plane-state', 'Put some points first.', { bad: true });
    this.#training = true;
    by('train').textContent = 'Pause';
    // A loop that is still in its last round goes on.
    if (this.#looping) return undefined;
    this.#looping = true;
    while (this.#training) {
      let toy;
      try {
        toy = this.#toy ?? (await this.#make());
        if (toy) await this.#round(toy);
      } catch (error) {
        // Of weights that were replaced meanwhile nobody wants to hear.
        if (toy !== this.#toy) continue;
        tell('plane-state', explainError(error), { bad: true });
        this.#toy = undefined;
        this.#stop();
      }
    }
    this.#looping = false;
    return undefined;
  }

  /** Some updates, and what they make of the plane. */
  async #round(toy) {
    const places = this.#points.flatMap(([x, y]) => [x, y]);
    const labels = this.#points.map(([, , label]) => label);
    const { bce, ce, steps, contrastive } = await toy.train(places, labels, { steps: STEPS });
    const map = await toy.map();
    if (toy !== this.#toy) return;
    this.#contrastive = contrastive;
    this.#losses = [...this.#losses, bce].slice(-200);
    this.#updates = steps;
    this.#land = this.#landscape(map);
    this.#chart.update(this.#losses);
    this.#draw();
    tell('plane-state', `${steps} updates: binary cross-entropy ${bce.toFixed(3)}, cross-entropy ${ce.toFixed(3)}.`, { passing: true });
    await new Promise(requestAnimationFrame);
  }

  /** Weights of the seed of now; none if another one was asked for while they were made. */
  async #make() {
    const seed = this.#seed;
    const toy = await this.#model.toy({ classes: NAMES.length, seed });
    if (seed === this.#seed) return (this.#toy = toy);
    await toy.free();
    return undefined;
  }

  /** Energy, -logsumexp of the logits, as a small picture: dark is low. */
  #landscape(logits) {
    const side = Math.sqrt(logits.length / NAMES.length);
    const energies = Float32Array.from({ length: side * side }, (_, i) => {
      const row = logits.subarray(i * NAMES.length, (i + 1) * NAMES.length);
      const most = Math.max(...row);
      return -(most + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - most), 0)));
    });
    const [low, high] = [Math.min(...energies), Math.max(...energies)];
    const data = new ImageData(side, side);
    energies.forEach((energy, i) => data.data.set([...cividis((energy - low) / (high - low || 1)), 255], 4 * i));
    const canvas = Object.assign(document.createElement('canvas'), { width: side, height: side });
    canvas.getContext('2d').putImageData(data, 0, 0);
    return canvas;
  }

  #draw() {
    const square = by('square');
    // Not on the GPU, for which a page that starts would have to wait.
    const context = square.getContext('2d', { willReadFrequently: true });
    context.fillStyle = 'rgb(102 105 112)';
    context.fillRect(0, 0, SIDE, SIDE);
    if (this.#land) context.drawImage(this.#land, 0, 0, SIDE, SIDE);
    context.strokeStyle = '#f4d8d8';
    context.lineWidth = 1.5;
    for (let i = 0; i + 1 < this.#contrastive.length; i += 2) cross(context, this.#contrastive[i] * SIDE, this.#contrastive[i + 1] * SIDE, 3);
    for (const [x, y, label] of this.#points) {
      context.beginPath();
      const [px, py] = [x * SIDE, y * SIDE];
      if (label === 0) context.arc(px, py, 5.5, 0, 7);
      else if (label === 1) context.rect(px - 5, py - 5, 10, 10);
      else {
        context.moveTo(px, py - 7);
        context.lineTo(px + 6, py + 5);
        context.lineTo(px - 6, py + 5);
        context.closePath();
      }
      context.fillStyle = COLOURS[label];
      context.fill();
      context.strokeStyle = '#10151c';
      context.stroke();
    }
    if (document.activeElement === square) {
      context.strokeStyle = '#fff';
      cross(context, this.#cursor[0] * SIDE, this.#cursor[1] * SIDE, 10);
    }
  }
}

function cross(context, x, y, arm) {
  context.beginPath();
  context.moveTo(x - arm, y);
  context.lineTo(x + arm, y);
  context.moveTo(x, y - arm);
  context.lineTo(x, y + arm);
  context.stroke();
}
