// The page's section on attacks: the same attack on an ordinary and on a robust network, side by side.

import { bars } from './chart.js';
import { paint } from './draw.js';
import { by, enable, explainError, say, tell } from './main.js';

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
    if (!image) return tell('attack-state', 'Choose an image above first.', { bad: true });
    enable('run-attack', false);
    tell('attack-state', 'Attacking …', { passing: true });
    const models = this.#models;
    try {
      const eps = Number(by('attack-eps').value);
      const sides = [];
      for (const [title, model] of models) {
        const { channels, side, classNames } = model.about;
        if (image.length !== channels * side * side) throw new Error(`The network that is called “${title}” takes images of ${side}×${side} pixels in ${channels === 1 ? 'grey' : 'colour'}; the image above has another size or other colours.`);
        const { before, after } = await model.attack(image, { eps });
        sides.push(this.#side(title, before, after, classNames, [channels, side]));
      }
      by('sides').replaceChildren(...sides.map(({ shown }) => shown));
      tell('attack-state', `The image above, attacked within a distance of ${eps}:`, { passing: true });
      say(sides.map(({ words }) => words).join(' '));
    } catch (error) {
      if (models === this.#models) tell('attack-state', explainError(error), { bad: true });
      else tell('attack-state', 'Stopped, because another network was opened, which can be attacked now.');
    } finally {
      enable('run-attack', true);
    }
    return this.#shared.strip().catch(() => undefined);
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
