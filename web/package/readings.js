// Computes numbers from logits and images in JavaScript, without the GPU: class probabilities, energies, lengths of differences.

/** Returns the index of the largest value. */
const largest = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);

/** Returns log(Σ exp(logits)), in double precision. */
function logsumexp(logits) {
  const most = logits[largest(logits)];
  return most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
}

export function climbed(logits, label, objective) {
  if (objective === 'joint') return logits[label];
  const crossEntropy = logsumexp(logits) - logits[label];
  return objective === 'cross-entropy' ? crossEntropy : -crossEntropy;
}

export function reading(logits, names, topK) {
  const sum = logsumexp(logits);
  const best = largest(logits);
  const probabilities = logits.map((logit) => Math.exp(logit - sum));
  const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a]).slice(0, topK);
  return {
    class: best,
    className: names[best],
    top: order.map((i) => ({ class: i, label: names[i], score: probabilities[i] })),
    logits,
    probabilities,
    energy: -sum,
    jointEnergies: logits.map((logit) => -logit),
  };
}

export function length(values, norm) {
  if (norm === 'linf') return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}

export function repeat(image, count) {
  const images = new Float32Array(image.length * count);
  for (let i = 0; i < count; i++) images.set(image, i * image.length);
  return images;
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[sorted.length >> 1] : undefined;
}
