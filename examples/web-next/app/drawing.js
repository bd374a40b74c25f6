'use client';

// Samples an image of one class by gradient steps, then classifies it, in a page that Next.js builds with lapidary's JavaScript
// package. Next.js finds the package's worker and WebAssembly itself; the network's checkpoint is a file in `public/`.

import { load } from 'lapidary';
import { useEffect, useRef, useState } from 'react';

export function Drawing() {
  const [model, setModel] = useState();
  const [status, setStatus] = useState('Loading the network…');
  const [wanted, setWanted] = useState({ label: 8, seed: 1 });
  const canvas = useRef(null);

  // A component may go and come back, as StrictMode makes every one do in development: what is still loading is given up then,
  // and a network that is there gives the GPU back.
  useEffect(() => {
    const gone = new AbortController();
    const onProgress = ({ phase, loaded, total }) => {
      if (phase === 'weights' && total) setStatus(`Loading the network: ${Math.round((100 * loaded) / total)} %`);
    };
    const { signal } = gone;
    const loading = load(`${process.env.BASE_PATH}/model.safetensors`, { onProgress, signal });
    loading.then((loaded) => signal.aborted || setModel(loaded), tell(setStatus));
    return () => {
      gone.abort();
      setModel(undefined);
      loading.then(
        (loaded) => loaded.dispose(),
        () => undefined,
      );
    };
  }, []);

  // Draws what is wanted; another wish or the end of the network stops it.
  useEffect(() => {
    if (!model) return undefined;
    const stopped = new AbortController();
    draw(model, wanted, canvas.current, setStatus, stopped.signal).catch(tell(setStatus));
    return () => stopped.abort();
  }, [model, wanted]);

  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    setWanted({ label: Number(form.get('label')), seed: Number(form.get('seed')) });
  };
  return (
    <>
      {model && (
        <form id="form" onSubmit={submit}>
          <label>
            Class{' '}
            <select name="label" defaultValue={wanted.label}>
              {model.about.classNames.map((name, label) => (
                <option key={name} value={label}>
                  {name}
                </option>
              ))}
            </select>
          </label>
          <label>
            Seed <input name="seed" type="number" defaultValue={wanted.seed} min="0" max="9999" />
          </label>
          <button>Draw</button>
        </form>
      )}
      <canvas id="image" ref={canvas} width="256" height="256" role="img" aria-label="The image that is being drawn" />
      <p id="status" role="status">
        {status}
      </p>
    </>
  );
}

async function draw(model, { label, seed }, canvas, say, signal) {
  const onStep = ({ images, step, energies }) => {
    model.toCanvas(images, { canvas, scale: 16 });
    say(`Step ${step}: energy ${energies[0].toFixed(2)}`);
  };
  const { images, energies } = await model.sample({ classes: [label], seed, steps: 40, onStep, signal });
  model.toCanvas(images, { canvas, scale: 16 });
  const { top } = await model.classify(canvas, { topK: 1, signal });
  say(`Energy ${energies[0].toFixed(2)}; the network sees: ${top[0].label}, ${Math.round(100 * top[0].score)} %`);
}

/** What says that something did not work; an abort is no failure. */
const tell = (say) => (error) => {
  if (error.name !== 'AbortError') say(`It did not work: ${error.message}`);
};
