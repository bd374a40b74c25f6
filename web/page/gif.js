// Writes an animated GIF (89a) from canvases: one palette for all frames, LZW compression as in GIF's specification.

/** @param {HTMLCanvasElement[]} frames of one size; the last is shown longer. `shown` in ms. */
export function gif(frames, shown) {
  const { width, height } = frames[0];
  const pictures = frames.map((frame) => frame.getContext('2d').getImageData(0, 0, width, height).data);
  const grey = pictures.every(isGrey);
  const out = [...letters('GIF89a'), ...word(width), ...word(height), 0xf7, 0, 0];
  for (let i = 0; i < 256; i++) out.push(...(grey ? [i, i, i] : cube(i)));
  // It repeats for ever.
  out.push(0x21, 0xff, 11, ...letters('NETSCAPE2.0'), 3, 1, 0, 0, 0);
  const parts = [Uint8Array.from(out)];
  pictures.forEach((data, i) => {
    const delay = i === pictures.length - 1 ? 200 : Math.round(shown / 10);
    parts.push(Uint8Array.of(0x21, 0xf9, 4, 0, ...word(delay), 0, 0, 0x2c, 0, 0, 0, 0, ...word(width), ...word(height), 0, 8));
    parts.push(blocks(compressed(grey ? every(data, (red) => red) : every(data, nearest))), Uint8Array.of(0));
  });
  parts.push(Uint8Array.of(0x3b));
  return new Blob(parts, { type: 'image/gif' });
}

const letters = (text) => Array.from(text, (letter) => letter.charCodeAt(0));
const word = (value) => [value & 255, value >> 8];
const isGrey = (data) => data.every((value, i) => i % 4 === 3 || value === data[i - (i % 4)]);
const every = (data, index) => Uint8Array.from({ length: data.length / 4 }, (_, i) => index(data[4 * i], data[4 * i + 1], data[4 * i + 2]));

/** Six reds, seven greens, six blues: the eye sees most steps of green. */
const LEVELS = [6, 7, 6];
const cube = (i) => {
  const steps = [Math.floor(i / 42), Math.floor(i / 6) % 7, i % 6];
  return steps.map((step, c) => Math.min(255, Math.round((255 * step) / (LEVELS[c] - 1))));
};
const nearest = (...colour) => colour.reduce((sum, value, c) => sum * LEVELS[c] + Math.round((value / 255) * (LEVELS[c] - 1)), 0);

/** Codes of 9 to 12 bits, the lowest bit first; the table begins anew when it is full. */
function compressed(pixels) {
  const [CLEAR, END] = [256, 257];
  const out = [];
  let [bits, held, size, next, table] = [0, 0, 9, 258, new Map()];
  const write = (code) => {
    held |= code << bits;
    for (bits += size; bits >= 8; bits -= 8, held >>>= 8) out.push(held & 255);
  };
  write(CLEAR);
  let prefix = pixels[0];
  for (let i = 1; i < pixels.length; i++) {
    const key = (prefix << 8) | pixels[i];
    const known = table.get(key);
    if (known !== undefined) {
      prefix = known;
      continue;
    }
    write(prefix);
    if (next < 4096) {
      table.set(key, next);
      if (next === 1 << size && size < 12) size++;
      next++;
    } else {
      write(CLEAR);
      [size, next, table] = [9, 258, new Map()];
    }
    prefix = pixels[i];
  }
  write(prefix);
  // The reader has widened its codes here too.
  if (next === 1 << size && size < 12) size++;
  write(END);
  if (bits) out.push(held & 255);
  return Uint8Array.from(out);
}

/** In blocks of up to 255 bytes, each behind its length. */
function blocks(bytes) {
  const out = new Uint8Array(bytes.length + Math.ceil(bytes.length / 255));
  for (let from = 0, at = 0; from < bytes.length; from += 255) {
    const part = bytes.subarray(from, from + 255);
    out[at] = part.length;
    out.set(part, at + 1);
    at += part.length + 1;
  }
  return out;
}
