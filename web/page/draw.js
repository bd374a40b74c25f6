// Draws on the page's canvases: images of 1 or 3 channels, signed differences, energies.

import { toImageData } from './lapidary/picture.js';

/**
 * Puts an image (CHW in [0, 1]) on a canvas at its own size; the style scales it. Ten canvases are painted at every step, so one
 * of the right size keeps it, and none is on the GPU, for which small images would have to wait.
 */
export function paint(canvas, image, channels, side) {
  const data = toImageData(image, { channels, side });
  if (canvas.width !== side || canvas.height !== side) canvas.width = canvas.height = side;
  canvas.getContext('2d', { willReadFrequently: true }).putImageData(data, 0, 0);
}

/** Decodes a picture to a bitmap of at most `most` pixels a side. Files are scaled where they are decoded, apart from this thread. */
export async function decoded(picture, most) {
  const whole = await createImageBitmap(picture);
  const scale = most / Math.max(whole.width, whole.height);
  if (scale >= 1) return whole;
  const [resizeWidth, resizeHeight] = [whole.width, whole.height].map((length) => Math.max(1, Math.round(length * scale)));
  whole.close();
  return createImageBitmap(picture, { resizeWidth, resizeHeight, resizeQuality: 'medium' });
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
