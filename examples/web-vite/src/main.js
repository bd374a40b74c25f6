// Samples an image of one class by gradient steps, then classifies it, in a page that Vite builds with lapidary's JavaScript
// package. Vite finds the package's worker and WebAssembly itself; the network's checkpoint is a file in `public/`.
import { load } from 'lapidary';

const by = (id) => document.getElementById(id);
const status = by('status');
const form = by('form');

async function start() {
  const model = await load('model.safetensors', {
    onProgress: ({ phase, loaded, total }) => {
      if (phase === 'weights' && total) status.textContent = `Loading the network: ${Math.round((100 * loaded) / total)} %`;
    },
  });
  by('class').append(...model.about.classNames.map((name, label) => new Option(name, label)));
  by('class').value = 8;
  let running;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    running?.abort();
    running = new AbortController();
    draw(model, Number(by('class').value), Number(by('seed').value), running.signal).catch(tell);
  });
  form.requestSubmit();
}

async function draw(model, label, seed, signal) {
  const canvas = by('image');
  const onStep = ({ images, step, energies }) => {
    model.toCanvas(images, { canvas, scale: 16 });
    status.textContent = `Step ${step}: energy ${energies[0].toFixed(2)}`;
  };
  const { images, energies } = await model.sample({ classes: [label], seed, steps: 40, onStep, signal });
  model.toCanvas(images, { canvas, scale: 16 });
  const { top } = await model.classify(canvas, { topK: 1, signal });
  status.textContent = `Energy ${energies[0].toFixed(2)}; the network sees: ${top[0].label}, ${Math.round(100 * top[0].score)} %`;
}

function tell(error) {
  if (error.name !== 'AbortError') status.textContent = `It did not work: ${error.message}`;
}

start().catch(tell);
