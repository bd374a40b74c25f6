// A sample of a sneaker on a canvas. Serve this folder with the package, web/dist/lapidary, and a checkpoint beside it.
import { load } from './lapidary/index.js';

const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById('image'));
const model = await load('model.safetensors');
const { images, energies } = await model.sample({ classes: [7], seed: 1, steps: 20 });
const pixels = Uint8ClampedArray.from({ length: 4 * images.length }, (_, i) => (i % 4 === 3 ? 255 : 255 * images[i >> 2]));
canvas.getContext('2d')?.putImageData(new ImageData(pixels, model.about.side), 0, 0);
document.title = `energy ${energies[0].toFixed(2)}`;
