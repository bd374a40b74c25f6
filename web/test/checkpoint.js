// Makes a wide residual network with random weights as a safetensors file, for measurements that depend on shapes alone.

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
  // He's initialisation from a small generator, so that a run can be repeated.
  let state = 1;
  const uniform = () => (state = (state * 48271) % 0x7fffffff) / 0x7fffffff;
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

  const header = { __metadata__: { ...(!foreign && { architecture: 'wrn' }), side: String(side), ...metadata } };
  let end = 0;
  for (const tensor of tensors) {
    tensor.start = end;
    end += tensor.shape.reduce((product, count) => product * count, 4);
    header[tensor.name] = { dtype: 'F32', shape: tensor.shape, data_offsets: [tensor.start, end] };
  }
  let text = JSON.stringify(header);
  text += ' '.repeat((8 - (text.length % 8)) % 8);
  const file = Buffer.alloc(8 + text.length + end);
  file.writeBigUInt64LE(BigInt(text.length));
  file.write(text, 8);
  for (const { start, shape, fill } of tensors) {
    const count = shape.reduce((product, side) => product * side, 1);
    for (let i = 0; i < count; i++) file.writeFloatLE(fill(), 8 + text.length + start + 4 * i);
  }
  return file;
}
