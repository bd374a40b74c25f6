// Plain and robust: the same attack on two networks, side by side.

import { bars } from './chart.js';
import { paint } from './draw.js';
import { by, explainError, say } from './main.js';

export class AttackPart {
  #shared;
  #models = [];

  constructor(shared) {
    this.#shared = shared;
    by('attack-eps').oninput = ({ target }) => (by('attack-eps-value').textContent = target.value);
    by('run-attack').onclick = () => this.#run();
  }

  use(robust, plain) {
    this.#models = plain ? [['Trained plainly', plain], ['Robust', robust]] : [];
    by('run-attack').disabled = !plain;
  }

  disable() {
    by('run-attack').disabled = true;
  }

  async #run() {
    const { image } = this.#shared.parts[1];
    if (!image) return say('Choose an image first.');
    by('run-attack').disabled = true;
    try {
      const eps = Number(by('attack-eps').value);
      const sides = [];
      for (const [title, model] of this.#models) {
        const { channels, side, classNames } = model.about;
        if (image.length !== channels * side * side) throw new Error(`${title}: the image is of another size than this network's`);
        const { before, after } = await model.attack(image, { eps });
        sides.push(this.#side(title, before, after, classNames, [channels, side]));
      }
      by('sides').replaceChildren(...sides.map(({ shown }) => shown));
      say(sides.map(({ words }) => words).join(' '));
    } catch (error) {
      by('sides').textContent = explainError(error);
    }
    by('run-attack').disabled = false;
    return this.#shared.strip();
  }

  #side(title, before, after, classNames, size) {
    const shown = document.createElement('figure');
    shown.className = 'chart';
    const canvas = document.createElement('canvas');
    paint(canvas, after.image, ...size);
    canvas.style.width = '160px';
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `${title}: the image under attack`);
    const held = before.class === after.class;
    const verdict = held ? `still ${after.className}` : `${before.className} became ${after.className}`;
    shown.append(Object.assign(document.createElement('h3'), { textContent: title }), canvas);
    shown.append(Object.assign(document.createElement('p'), { className: held ? 'result' : 'result bad', textContent: verdict }));
    bars(shown, classNames, after, 3);
    return { shown, words: `${title}: ${verdict}.` };
  }
}
