// Prints Fashion-MNIST test images of this repository as JSON for the page: the first of each class, or with --lesson the example
// of the page's section on training, ten pictures for each of five classes (tops, shoes, ...) that no network here was trained for.
//
//   node web/build/examples.js >examples.json                writes the first test image of each class
//   node web/build/examples.js --lesson >lesson.json         writes ten pictures of each of five classes

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

/** The lesson's classes, and those of the cut that their pictures are of, in turn. */
const LESSON = { tops: [0, 2, 4, 6], trousers: [1], dresses: [3], shoes: [5, 7, 9], bags: [8] };
const PICTURES = 10;

/** The number of each picture in the test part, by the name of its class. */
export const lesson = Object.entries(LESSON).map(([name, classes]) => {
  const of = classes.map((wanted) => Array.from({ length: labels.length - 8 }, (_, i) => i).filter((i) => label(i) === wanted));
  return { name, pictures: Array.from({ length: PICTURES }, (_, i) => of[i % of.length][Math.floor(i / of.length)]) };
});

if (import.meta.url === `file://${process.argv[1]}`) {
  const text = (index) => image(index).toString('base64');
  const first = NAMES.map((_, wanted) => labels.subarray(8).indexOf(wanted));
  const printed = process.argv[2] === '--lesson'
    ? { side, classes: lesson.map(({ name, pictures }) => ({ name, images: pictures.map(text) })) }
    : { names: NAMES, side, images: first.map(text) };
  console.log(JSON.stringify(printed));
}
