// Runs the package's engine in a module worker: calls come in as { id, method, args }, answers go out as { id, result } or { id,
// error }, with { id, step } and { id, progress } on the way; { id, abort } stops a call, { id, finish } ends it early, with its
// result so far. A first message { wasm } may bring the compiled bindings, or the error of compiling them.

import { Engine } from './engine.js';

let compiled;
const wasm = new Promise((resolve) => (compiled = resolve));
const engine = new Engine((event) => postMessage({ event }), wasm);
const running = new Map();

onmessage = async ({ data }) => {
  if ('wasm' in data) return compiled(data.wasm);
  const { id, method, args, abort, finish, wants } = data;
  if (abort) return running.get(id)?.stop.abort();
  if (finish) return running.get(id)?.end.abort();
  const [stop, end] = [new AbortController(), new AbortController()];
  running.set(id, { stop, end });
  const callbacks = { signal: stop.signal, finish: end.signal };
  if (wants?.onStep) callbacks.onStep = (step) => postMessage({ id, step });
  if (wants?.onProgress) callbacks.onProgress = (progress) => postMessage({ id, progress });
  try {
    const result = await engine[method](...args, callbacks);
    postMessage({ id, result });
  } catch (error) {
    postMessage({ id, error: { name: error?.name ?? 'Error', message: String(error?.message ?? error) } });
  } finally {
    running.delete(id);
  }
  return undefined;
};
