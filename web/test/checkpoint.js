// Makes networks with random weights as safetensors files: for measurements and comparisons in which only shapes matter.

/** A small generator of numbers in (0, 1), so that a run can be repeated. */
function generator() {
  let state = 1;
  return () => (state = (state * 48271) % 0x7fffffff) / 0x7fffffff;
}

/** `metadata` is added to what says how the file is to be read; `foreign` leaves that out; `scale` is on the last layer. */
export function randomWideResNet(depth, width, { channels = 3, classes = 10, side = 32, metadata, foreign = false, scale = 0.1 } = {}) {
  const tensors = [];
  const add = (name, shape, fill) => tensors.push({ name, shape, fill });
  const norm = (name, count) => {
    add(`${name}.weight`, [count], () => 1);
    add(`${name}.bias`, [count], () => 0);
    add(`${name}.running_mean`, [count], () => 0);
    add(`${name}.running_var`, [count], () => 1);
  };
  // He's initialisation.
  const uniform = generator();
  const conv = (name, outputs, inputs, kernel) => {
    const most = Math.sqrt(6 / (inputs * kernel * kernel));
    add(name, [outputs, inputs, kernel, kernel], () => most * (2 * uniform() - 1));
  };
  conv('conv1.weight', 16, channels, 3);
  let last = 16;
  for (const stage of [1, 2, 3]) {
    const outputs = (8 * width) << stage;
    for (let j = 0; j < (depth - 4) / 6; j++) {
      const prefix = `block${stage}.layer.${j}`;
      norm(`${prefix}.bn1`, last);
      conv(`${prefix}.conv1.weight`, outputs, last, 3);
      norm(`${prefix}.bn2`, outputs);
      conv(`${prefix}.conv2.weight`, outputs, outputs, 3);
      if (last !== outputs) conv(`${prefix}.convShortcut.weight`, outputs, last, 1);
      last = outputs;
    }
  }
  norm('bn1', last);
  add('fc.weight', [classes, last], () => scale * (2 * uniform() - 1));
  add('fc.bias', [classes], () => 0);

  return file(tensors, { ...(!foreign && { architecture: 'wrn' }), side: String(side), ...metadata });
}

/** A file of tensors, each with a name, a shape and a function that draws a number. */
function file(tensors, metadata) {
  const header = { __metadata__: metadata };
  let end = 0;
  for (const tensor of tensors) {
    tensor.start = end;
    end += tensor.shape.reduce((product, count) => product * count, 4);
    header[tensor.name] = { dtype: 'F32', shape: tensor.shape, data_offsets: [tensor.start, end] };
  }
  let text = JSON.stringify(header);
  text += ' '.repeat((8 - (text.length % 8)) % 8);
  const bytes = Buffer.alloc(8 + text.length + end);
  bytes.writeBigUInt64LE(BigInt(text.length));
  bytes.write(text, 8);
  for (const { start, shape, fill } of tensors) {
    const count = shape.reduce((product, side) => product * side, 1);
    for (let i = 0; i < count; i++) bytes.writeFloatLE(fill(), 8 + text.length + start + 4 * i);
  }
  return bytes;
}

/** What files of ImageNet's networks say of their images. */
const IMAGENET = { side: '224', mean: '[0.485, 0.456, 0.406]', std: '[0.229, 0.224, 0.225]' };

/** A ResNet-50 under torchvision's names. The last normalisation of a block is small, so that maps keep their size. */
export function randomResNet50(classes = 1000) {
  const [tensors, uniform] = [[], generator()];
  const conv = (name, outputs, inputs, kernel) => {
    const most = Math.sqrt(6 / (inputs * kernel * kernel));
    tensors.push({ name: `${name}.weight`, shape: [outputs, inputs, kernel, kernel], fill: () => most * (2 * uniform() - 1) });
  };
  const norm = (name, count, scale = 1) => {
    const fills = { weight: () => scale * (0.5 + uniform()), bias: () => 0.1 * (2 * uniform() - 1), running_mean: () => 0.1 * (2 * uniform() - 1), running_var: () => 0.5 + uniform() };
    for (const [part, fill] of Object.entries(fills)) tensors.push({ name: `${name}.${part}`, shape: [count], fill });
  };
  conv('conv1', 64, 3, 7);
  norm('bn1', 64);
  let last = 64;
  for (const [stage, depth] of [3, 4, 6, 3].entries()) {
    const inner = 64 << stage;
    for (let j = 0; j < depth; j++) {
      const prefix = `layer${stage + 1}.${j}`;
      conv(`${prefix}.conv1`, inner, last, 1);
      norm(`${prefix}.bn1`, inner);
      conv(`${prefix}.conv2`, inner, inner, 3);
      norm(`${prefix}.bn2`, inner);
      conv(`${prefix}.conv3`, 4 * inner, inner, 1);
      norm(`${prefix}.bn3`, 4 * inner, 0.3);
      if (j === 0) {
        conv(`${prefix}.downsample.0`, 4 * inner, last, 1);
        norm(`${prefix}.downsample.1`, 4 * inner);
      }
      last = 4 * inner;
    }
  }
  tensors.push({ name: 'fc.weight', shape: [classes, last], fill: () => 0.05 * (2 * uniform() - 1) }, { name: 'fc.bias', shape: [classes], fill: () => 0 });
  return file(tensors, IMAGENET);
}

/** A ConvNeXt-T under timm's names; layer scales are as large as those of trained networks. */
export function randomConvNextTiny(classes = 1000) {
  const [tensors, uniform] = [[], generator()];
  const both = (name, ...shape) => {
    const inputs = shape.slice(1).reduce((product, length) => product * length, 1);
    const most = Math.sqrt(3 / inputs);
    const weight = shape.length === 1 ? () => 0.5 + uniform() : () => most * (2 * uniform() - 1);
    tensors.push({ name: `${name}.weight`, shape, fill: weight }, { name: `${name}.bias`, shape: [shape[0]], fill: () => 0.1 * (2 * uniform() - 1) });
  };
  const dims = [96, 192, 384, 768];
  both('stem.0', 96, 3, 4, 4);
  both('stem.1', 96);
  for (const [stage, depth] of [3, 3, 9, 3].entries()) {
    const dim = dims[stage];
    if (stage) {
      both(`stages.${stage}.downsample.0`, dims[stage - 1]);
      both(`stages.${stage}.downsample.1`, dim, dims[stage - 1], 2, 2);
    }
    for (let j = 0; j < depth; j++) {
      const prefix = `stages.${stage}.blocks.${j}`;
      tensors.push({ name: `${prefix}.gamma`, shape: [dim], fill: () => uniform() });
      both(`${prefix}.conv_dw`, dim, 1, 7, 7);
      both(`${prefix}.norm`, dim);
      both(`${prefix}.mlp.fc1`, 4 * dim, dim);
      both(`${prefix}.mlp.fc2`, dim, 4 * dim);
    }
  }
  both('head.norm', 768);
  both('head.fc', classes, 768);
  return file(tensors, IMAGENET);
}
