import { Drawing } from './drawing.js';

export default function Page() {
  return (
    <main>
      <h1>Images from a classifier</h1>
      <p>
        The network tells ten kinds of clothes apart. Steps up the logit of one class draw an image of it, on this computer’s own GPU.
      </p>
      <Drawing />
    </main>
  );
}
