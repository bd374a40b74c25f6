// Draws the page's charts: a line over steps and bars over classes, each with its numbers as a table.

const SVG = 'http://www.w3.org/2000/svg';
const [WIDTH, HEIGHT, LEFT, BELOW] = [420, 190, 44, 22];

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/**
 * A line chart in a figure; `update(values, marked)` draws it anew, once for all that it is told between two frames. The value with
 * index i is that of step `at(i)`.
 */
export class LineChart {
  #svg = element('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img' });
  #body = document.createElement('tbody');
  #label;
  #at;
  #unit;
  /** What the next frame shows, and what the table has. */
  #next;
  #shown = [];

  constructor(figure, columns, label, at = (i) => i) {
    this.#label = label;
    this.#at = at;
    this.#unit = columns[0];
    const details = document.createElement('details');
    const head = columns.map((name) => `<th scope="col">${name}</th>`).join('');
    details.innerHTML = `<summary>The numbers</summary><div class="scroll" tabindex="0" role="region"><table><thead><tr>${head}</tr></thead></table></div>`;
    details.querySelector('[role=region]').setAttribute('aria-label', label);
    details.querySelector('table').append(this.#body);
    figure.append(this.#svg, details);
    this.#draw([]);
  }

  update(values, marked) {
    if (!this.#next) requestAnimationFrame(() => {
      const { values, marked } = this.#next;
      this.#next = undefined;
      this.#draw(values, marked);
    });
    this.#next = { values, marked };
  }

  #draw(values, marked) {
    const known = values.filter(Number.isFinite);
    const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
    const span = high - low || 1;
    const x = (i) => LEFT + (i / Math.max(values.length - 1, 1)) * (WIDTH - LEFT - 8);
    const y = (value) => 8 + ((high - value) / span) * (HEIGHT - BELOW - 16);
    const parts = [
      element('line', { class: 'axis', x1: LEFT, x2: LEFT, y1: 4, y2: HEIGHT - BELOW }),
      element('line', { class: 'axis', x1: LEFT, x2: WIDTH, y1: HEIGHT - BELOW, y2: HEIGHT - BELOW }),
      element('text', { x: WIDTH - 4, y: HEIGHT - 6, 'text-anchor': 'end' }, values.length > 1 ? this.#at(values.length - 1) : ''),
      element('text', { x: LEFT, y: HEIGHT - 6 }, values.length ? `${this.#unit} ${this.#at(0)}` : ''),
    ];
    if (known.length) {
      parts.push(element('text', { x: LEFT - 4, y: 14, 'text-anchor': 'end' }, high.toFixed(2)));
      parts.push(element('text', { x: LEFT - 4, y: HEIGHT - BELOW - 4, 'text-anchor': 'end' }, low.toFixed(2)));
      parts.push(element('polyline', { class: 'curve', points: values.map((value, i) => `${x(i)},${y(value)}`).join(' ') }));
    }
    if (Number.isFinite(values[marked])) parts.push(element('circle', { class: 'mark', cx: x(marked), cy: y(values[marked]), r: 5 }));
    this.#svg.replaceChildren(...parts);
    const ends = known.length ? `from ${values[0].toFixed(2)} to ${values.at(-1).toFixed(2)}` : 'nothing yet';
    this.#svg.setAttribute('aria-label', `${this.#label}: ${ends}`);
    while (this.#body.rows.length > values.length) this.#body.deleteRow(-1);
    const shown = values.map((value, i) => `${this.#at(i)} ${value}`);
    values.forEach((value, i) => {
      if (shown[i] === this.#shown[i]) return;
      const row = this.#body.rows[i] ?? this.#body.insertRow();
      if (!row.cells.length) row.append(row.insertCell(), row.insertCell());
      row.cells[0].textContent = this.#at(i);
      row.cells[1].textContent = value.toFixed(4);
    });
    this.#shown = shown;
  }
}

/** Takes away what `bars` drew. */
export function unbar(into) {
  into.querySelectorAll('.bars, details, .energy').forEach((old) => old.remove());
}

/** Probabilities by class, the best first; all logits are in the table. */
export function bars(into, names, reading, shown = 5) {
  const order = [...names.keys()].sort((a, b) => reading.probabilities[b] - reading.probabilities[a]);
  const chart = document.createElement('div');
  chart.className = 'bars';
  for (const i of order.slice(0, shown)) {
    const [name, track, share] = ['span', 'span', 'span'].map((tag) => document.createElement(tag));
    name.textContent = names[i];
    name.classList.toggle('best', i === reading.class);
    share.textContent = `${(100 * reading.probabilities[i]).toFixed(1)} %`;
    const bar = document.createElement('div');
    bar.className = 'bar';
    bar.style.width = `${100 * reading.probabilities[i]}%`;
    track.append(bar);
    chart.append(name, track, share);
  }
  const details = document.createElement('details');
  details.innerHTML = '<summary>The numbers</summary><div class="scroll" tabindex="0" role="region"><table><thead><tr><th scope="col">class</th><th scope="col">logit</th><th scope="col">energy</th></tr></thead><tbody></tbody></table></div>';
  details.querySelector('[role=region]').setAttribute('aria-label', `${into.querySelector('h3, figcaption').textContent}: logits and energies`);
  for (const i of names.keys()) {
    const row = details.querySelector('tbody').insertRow();
    for (const text of [names[i], reading.logits[i].toFixed(4), (-reading.logits[i]).toFixed(4)]) row.insertCell().textContent = text;
  }
  unbar(into);
  const energy = document.createElement('p');
  energy.className = 'hint energy';
  energy.textContent = `Energy of the image, whatever its class: ${reading.energy.toFixed(2)}`;
  into.append(chart, energy, details);
}
