// Trains on a handful of pictures in a page: checks what is asked for, loops over steps, and goes on after the GPU device was
// lost.

import { named, none, oneOf, whole, within } from './checks.js';

/** Steps after which everything that changes is copied to the host, to go on from after a loss of the device. */
const KEPT = 25;
/** The most pictures: they lie in memory as numbers. */
const PICTURES = 10_000;

/** Returns the classes' names, and whether they are others than the network's, of which a number alone says nothing but how many. */
function classNames(classes, { classNames: known }) {
  if (classes === undefined || classes === known.length) return { names: known, fresh: false };
  const names = typeof classes === 'number' ? Array.from({ length: whole('classes', classes, 1, 65_536) }, (_, i) => String(i)) : classes;
  if (!Array.isArray(names) || !names.length || names.some((name) => typeof name !== 'string') || new Set(names).size < names.length) throw named('RangeError', 'classes: expected a list of different class names, or the number of classes');
  return { names, fresh: names.length !== known.length || names.some((name, i) => name !== known[i]) };
}

/** Returns a training's settings in the form that the wasm bindings read, each checked. */
function recipe({ classes, steps = 200, objective = 'dat', batch = 16, learningRate = 0.01, eps = 0.5, norm = 'l2', contrastiveSteps, stepSize, augment = 'crop-flip', seed = 0, ...others }, about) {
  none(others);
  const { names, fresh } = classNames(classes, about);
  if (objective === 'at') none({ contrastiveSteps, stepSize }, 'the objective at has no contrastive images');
  return {
    classNames: names,
    newHead: fresh,
    steps: whole('steps', steps, 1, 100_000),
    objective: oneOf('objective', objective, ['dat', 'at']),
    batch: whole('batch', batch, 1, 256),
    learningRate: within('learningRate', learningRate, 0, 10),
    eps: within('eps', eps, 0, 1e4),
    norm: oneOf('norm', norm, ['l2', 'linf']),
    contrastiveSteps: whole('contrastiveSteps', contrastiveSteps ?? 8, 0, 1000),
    stepSize: within('stepSize', stepSize ?? 0.8, 0, 1e4),
    augment: oneOf('augment', augment, ['crop-flip', 'centre', 'none']),
    seed: whole('seed', seed, 0),
  };
}

/** Brings all pictures to one array. */
async function together(images, labels, classes, size, prepare) {
  if (!Array.isArray(images)) throw named('Mismatch', 'images: expected a list of images');
  whole('number of images', images.length, 1, PICTURES);
  if (labels?.length !== images.length) throw named('Mismatch', `labels: got ${labels?.length ?? 'none'}; expected a label for each of ${images.length} images`);
  const all = new Float32Array(images.length * size);
  for (const [i, image] of images.entries()) {
    whole(`label of image ${i} (counted from 0)`, labels[i], 0, classes - 1);
    all.set(await prepare(image, i), i * size);
  }
  return all;
}

/**
 * Trains and returns the new file's bytes, with accuracies before and after. `turn(work)` calls `work(model, device)` when it
 * is this training's turn, and once more with another device where the first is lost on the way.
 */
export async function train(model, { prepare, turn }, { images, labels, ...options }, { onStep, signal, finish }) {
  const asked = recipe(options, model.about);
  const pictures = await together(images, labels, asked.classNames.length, model.size, prepare);
  const stop = () => (signal?.aborted ?? false) || model.ended;
  let made;
  let kept;
  /** The trainer on the device of now: after a loss another one, which goes on from what was kept. */
  const ready = async (model, device) => {
    if (made?.device === device) return made.trainer;
    made?.trainer.free();
    made = undefined;
    const trainer = await model.trainer(JSON.stringify(asked), pictures, Uint32Array.from(labels));
    made = { device, trainer };
    if (kept) await trainer.restore(kept);
    return trainer;
  };
  try {
    const accuracyBefore = await turn(async (...on) => (await ready(...on)).accuracy());
    const began = performance.now();
    let step = 0;
    while (step < asked.steps && !finish?.aborted) {
      const told = await turn(async (...on) => {
        const trainer = await ready(...on);
        const told = JSON.parse(await trainer.step(stop));
        if (told.step % KEPT === 0) {
          const before = kept;
          kept = await trainer.snapshot();
          before?.free();
        }
        return told;
      });
      ({ step } = told);
      onStep?.({ ...told, steps: asked.steps });
      signal?.throwIfAborted();
    }
    const msPerStep = step ? (performance.now() - began) / step : undefined;
    const [accuracyAfter, bytes] = await turn(async (...on) => {
      const trainer = await ready(...on);
      return [await trainer.accuracy(), await trainer.file()];
    });
    return { bytes, steps: step, newHead: asked.newHead, accuracyBefore, accuracyAfter, msPerStep };
  } finally {
    made?.trainer.free();
    kept?.free();
  }
}
