// Errors with names that callers can act on, and checks of arguments and results that throw them.

export function named(name, message) {
  const error = new Error(message);
  error.name = name;
  return error;
}

export function whole(what, value, least, most) {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw named('RangeError', `${what}: got ${value}; expected a whole number from ${least} to ${most}`);
  }
  return value;
}

/** Returns the class for image `index`; `given` is one class for all images, or a list with one for each. */
export function nth(what, given, index, count) {
  if (!Array.isArray(given) && !ArrayBuffer.isView(given)) return given;
  if (given.length !== count) throw named('Mismatch', `${what}: got ${given.length} classes; expected one for each of ${count} images`);
  return given[index];
}

/** Throws where a network's answer has infinities or NaN, so that they never become a class. `each` numbers belong to an image. */
export function finite(values, each) {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) throw named('NotFinite', `image ${Math.floor(at / each)}: the network's output ${values[at]} is not finite; its weights or the image are too large`);
}
