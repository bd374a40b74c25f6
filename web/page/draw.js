// Draws on the page's canvases: images of 1 or 3 channels, signed differences, energies.

import { toCanvas } from './lapidary/picture.js';

/** Puts an image (CHW in [0, 1]) on a canvas at its own size; the style scales it. */
export function paint(canvas, image, channels, side) {
  toCanvas(image, { channels, side, canvas });
}

/** Signed values on blue (below 0) over grey to orange, which the common kinds of colour blindness tell apart. */
export function paintDifference(canvas, difference, channels, side) {
  canvas.width = canvas.height = side;
  const plane = side * side;
  const sums = Float32Array.from({ length: plane }, (_, i) => {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += difference[c * plane + i];
    return sum / channels;
  });
  const most = sums.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
  const data = new ImageData(side, side);
  sums.forEach((value, i) => {
    const t = value / most;
    const end = t < 0 ? [0, 90, 181] : [230, 97, 0];
    data.data.set([...end.map((c) => Math.round(245 + (c - 245) * Math.abs(t))), 255], 4 * i);
  });
  canvas.getContext('2d').putImageData(data, 0, 0);
  return most;
}

/** Corners of cividis (Nuñez, Anderton and Renslow 2018), which looks the same with and without colour vision. */
const CIVIDIS = [[0, 34, 78], [50, 65, 107], [102, 105, 112], [154, 146, 119], [206, 189, 101], [254, 232, 56]];

export function cividis(t) {
  const at = Math.min(0.9999, Math.max(0, t)) * (CIVIDIS.length - 1);
  const low = Math.floor(at);
  return CIVIDIS[low].map((c, i) => Math.round(c + (CIVIDIS[low + 1][i] - c) * (at - low)));
}

/** Hands a blob to the visitor. */
export function save(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
