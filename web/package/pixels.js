// Decodes pictures in a browser: files and bitmaps become rows of bytes.

import { named } from './checks.js';

/** The most pixels of a picture: four bytes each are in memory twice while it is read. */
const PIXELS = 64e6;

/** Decodes a picture to upright rows of red, green, blue and alpha as they are stored, without applying a colour profile. */
export async function pixels(image) {
  if (image.data) return image;
  const name = image.name ?? 'the picture';
  const undecoded = () => {
    throw named('BadPicture', `${name}: this browser cannot read it as a picture`);
  };
  const stored = { colorSpaceConversion: 'none', premultiplyAlpha: 'none', imageOrientation: 'from-image' };
  const bitmap = image instanceof Blob ? await createImageBitmap(image, stored).catch(undecoded) : image;
  const { width, height } = bitmap;
  try {
    if (width * height > PIXELS) throw named('BadPicture', `${name} has ${width}×${height} pixels, but at most ${PIXELS / 1e6} million are read: scale it down first`);
    const canvas = typeof OffscreenCanvas === 'undefined' ? Object.assign(document.createElement('canvas'), { width, height }) : new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    return { data: new Uint8Array(data.buffer), width, height };
  } finally {
    bitmap.close();
  }
}
