// Prints the first test image of each class of the embedded Fashion-MNIST cut, as the page shows them.
//
//   node web/build/examples.js >examples.json

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const NAMES = ['T-shirt/top', 'trouser', 'pullover', 'dress', 'coat', 'sandal', 'shirt', 'sneaker', 'bag', 'ankle boot'];
const read = (name) => gunzipSync(readFileSync(new URL(`../../data/fashion-mnist-cut/${name}-ubyte.gz`, import.meta.url)));
const [images, labels] = [read('t10k-images-idx3'), read('t10k-labels-idx1')];
const side = images.readUInt32BE(8);

/** Image `index` of the test part, a byte a pixel. */
export const image = (index) => images.subarray(16 + index * side * side, 16 + (index + 1) * side * side);
export const label = (index) => labels[8 + index];
export { side };

if (import.meta.url === `file://${process.argv[1]}`) {
  const first = NAMES.map((_, wanted) => labels.subarray(8).indexOf(wanted));
  console.log(JSON.stringify({ names: NAMES, side, images: first.map((index) => image(index).toString('base64')) }));
}
