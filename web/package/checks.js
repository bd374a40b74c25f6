// Errors with names that callers can act on, and checks of arguments and results that throw them.

export function named(name, message) {
  const error = new Error(message);
  error.name = name;
  return error;
}

function refuse(what, given, expected) {
  throw named('RangeError', `${what}: got ${given}; expected ${expected}`);
}

export function whole(what, value, least, most = Number.MAX_SAFE_INTEGER) {
  if (!Number.isInteger(value) || value < least || value > most) refuse(what, value, `a whole number from ${least} to ${most}`);
  return value;
}

export function within(what, value, least, most) {
  if (!(value >= least && value <= most)) refuse(what, value, `a number from ${least} to ${most}`);
  return value;
}

export function oneOf(what, value, known) {
  if (!known.includes(value)) refuse(what, value, known.join(', ').replace(/,([^,]*)$/, ' or$1'));
  return value;
}

/** Refuses options that would change nothing, of which a call has taken out those that it knows: a misspelt name is no default. */
export function none(options, why = 'there is no such option') {
  for (const name in options) if (options[name] !== undefined) throw named('RangeError', `${name}: ${why}`);
}

/** Returns the class for image `index`; `given` is one class for all images, or a list with one for each. */
export function nth(what, given, index, count) {
  if (!Array.isArray(given) && !ArrayBuffer.isView(given)) return given;
  if (given.length !== count) throw named('Mismatch', `${what}: got ${given.length} classes; expected one for each of ${count} images`);
  return given[index];
}

/** Throws at the first number outside [0, 1]. `each` numbers belong to an image, or a point; `index` is the first one's. */
export function unit(what, values, each, index = 0) {
  const at = values.findIndex((value) => !(value >= 0 && value <= 1));
  if (at >= 0) throw named('Mismatch', `${what} ${index + Math.floor(at / each)} (counted from 0): got ${values[at]}; expected numbers in [0, 1]`);
}

/** Throws where a network's answer has infinities or NaN, so that they never become a class. `each` numbers belong to an image. */
export function finite(values, each) {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) throw named('NotFinite', `image ${Math.floor(at / each)} (counted from 0): the network's output ${values[at]} is not finite; its weights or the image are too large`);
}
