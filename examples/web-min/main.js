// Draws a sample of a sneaker on a canvas: the smallest page that uses the JavaScript package. Serve this folder with the
// built package (web/dist/lapidary) and a checkpoint file (model.safetensors) in it.
import { load } from './lapidary/index.js';

const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById('image'));
const model = await load('model.safetensors');
const { images, energies } = await model.sample({ classes: [7], seed: 1, steps: 80 });
model.toCanvas(images, { canvas, scale: 16 });
const [{ label, score }] = (await model.classify(canvas, { topK: 1 })).top;
document.title = `energy ${energies[0]?.toFixed(2)}, ${label} ${Math.round(100 * score)} %`;
