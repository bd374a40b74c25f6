// Writes what repeats a run of sampling: the page's address, and lines for the command line, JavaScript and Rust. Each names the
// network that drew: the page's own, one from another address, or a file of the visitor's.

/** A text as one word of a shell. */
const word = (text) => (/^[\w.,:/@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** The search part of an address. A file's name is there to say what is missing: an address cannot carry the file. */
export function search({ chosen, seed, steps, stepSize }, { address, file } = {}) {
  return new URLSearchParams({ class: chosen, seed, steps, size: stepSize, ...(address && { network: address }), ...(file && { file }) });
}

export function code({ classes, seed, steps, stepSize }, { channels, side }, { address, file } = {}) {
  const named = classes.length === 1 ? ` --class ${classes[0]}` : '';
  const checkpoint = file ?? address?.split(/[?#]/)[0].split('/').pop();
  const network = checkpoint ? ` ${word(checkpoint.replace(/^-/, './-'))}` : '';
  const source = file ? `file); // ${file}, as a File or Blob` : `${JSON.stringify(address ?? 'models/fashion-demo.safetensors')});`;
  return `# the command line
lapidary sample${network}${named} --count ${classes.length} --seed ${seed} --steps ${steps} --step-size ${stepSize}

// JavaScript
import { load } from './lapidary/index.js';
const model = await load(${source}
const { images, energies } = await model.sample({ classes: [${classes}], seed: ${seed}, steps: ${steps}, stepSize: ${stepSize} });

// Rust
let starts = BatchSource::fractal(SAMPLE_STARTS, ${seed}, ${classes.length}, Fractal::new(${channels}, ${side})?)?.batch(0)?.images;
let settings = Pgd { norm: Norm::L2, eps: f32::INFINITY, step_size: ${stepSize}, steps: ${steps}, objective: Objective::Joint, statistics: Statistics::Frozen };
let sampler = Attack::new(&model, &weights, [${classes.length}, ${side}], settings, true).await?;
let images = sampler.attack(&starts, &[${classes}]).await?;
`;
}
