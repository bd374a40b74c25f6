// The page's live camera, with the visitor's consent: its frames go to the network one after the other and nowhere else.

const WORDS = {
  NotAllowedError: 'The camera was not allowed: the browser’s settings for this page can change that.',
  NotFoundError: 'No camera was found.',
  NotReadableError: 'The camera is in use by another program.',
};

/** Hands frames to `see`, each when the one before is done with, until `signal` is aborted or the camera ends. */
export async function watch(see, signal) {
  if (!navigator.mediaDevices) throw new Error('This browser gives the page no camera.');
  const asked = navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 640 } } });
  const stream = await asked.catch((error) => {
    throw new Error(WORDS[error.name] ?? error.message);
  });
  try {
    const video = Object.assign(document.createElement('video'), { srcObject: stream, muted: true, playsInline: true });
    await video.play();
    while (!signal.aborted && stream.active) {
      const frame = await createImageBitmap(video);
      // Whoever chose another image meanwhile is not to get this one.
      if (!signal.aborted) await see(frame);
      frame.close();
      // A hidden tab gets no frames, and so asks for none.
      await new Promise(requestAnimationFrame);
    }
  } finally {
    stream.getTracks().forEach((track) => track.stop());
  }
}
