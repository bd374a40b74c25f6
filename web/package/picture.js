// Converts images from numbers (CHW in [0, 1], as networks take them) to ImageData, canvases and image files.

import { named, whole, within } from './checks.js';

/** Converts one image to pixels of 8 bits a channel, rounded as in the program's PNG files. */
export function toImageData(image, { channels, side }) {
  const plane = side * side;
  if (image.length !== channels * plane) throw mismatch(image, channels, side);
  const data = new ImageData(side, side);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) data.data[4 * i + c] = Math.round(255 * Math.min(1, Math.max(0, image[(channels === 1 ? 0 : c) * plane + i])));
    data.data[4 * i + 3] = 255;
  }
  return data;
}

/** Draws one image, or several in rows of `columns`, enlarged `scale` times; see index.d.ts. */
export function toCanvas(images, { channels, side, scale = 1, smooth = false, columns, canvas } = {}) {
  const size = channels * side * side;
  const count = images.length / size;
  if (!Number.isInteger(count) || count < 1) throw mismatch(images, channels, side);
  const across = Math.min(count, whole('columns', columns ?? Math.ceil(Math.sqrt(count)), 1));
  const each = Math.max(1, Math.round(side * within('scale', scale, 0, 1e4)));
  const into = canvas ?? make();
  [into.width, into.height] = [across * each, Math.ceil(count / across) * each];
  const context = into.getContext('2d');
  context.imageSmoothingEnabled = smooth;
  context.imageSmoothingQuality = 'high';
  const one = make();
  [one.width, one.height] = [side, side];
  for (let i = 0; i < count; i++) {
    one.getContext('2d').putImageData(toImageData(images.subarray(i * size, (i + 1) * size), { channels, side }), 0, 0);
    context.drawImage(one, (i % across) * each, Math.floor(i / across) * each, each, each);
  }
  return into;
}

/** Draws images as `toCanvas` does and encodes them as a file. A browser writes PNG in place of a type that it cannot write. */
export async function toBlob(images, { type = 'image/png', quality, ...options }) {
  if (quality !== undefined) within('quality', quality, 0, 1);
  const canvas = toCanvas(images, options);
  const blob = await (canvas.convertToBlob?.({ type, quality }) ?? new Promise((resolve) => canvas.toBlob(resolve, type, quality)));
  if (blob?.type !== type.toLowerCase()) throw named('RangeError', `type: this browser cannot write ${type}`);
  return blob;
}

const make = () => (typeof document === 'undefined' ? new OffscreenCanvas(1, 1) : document.createElement('canvas'));

function mismatch(image, channels, side) {
  return named('Mismatch', `image: got ${image.length} numbers; expected ${channels}×${side}×${side} (channels, rows, columns) for each image`);
}
