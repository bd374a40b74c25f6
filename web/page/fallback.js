// Says why the page cannot compute (no WebGPU, no adapter, and so on) and what to do, and shows a recorded sampling run instead.

const ADVICE = {
  NoWebGPU: ['This browser has no WebGPU.', 'Chrome and Edge 113, Safari 26 and Firefox 141 (on Windows) or newer have it; elsewhere it may be behind a setting.'],
  InsecureContext: ['The page was not loaded over https.', 'Browsers give WebGPU to secure pages only: use https, or http://localhost.'],
  NoAdapter: ['The browser gives this page no GPU.', 'In Chrome, chrome://gpu says why. Often hardware acceleration is switched off in the settings, or the driver is on a list of bad ones.'],
  MissingLimit: ['The GPU’s limits are too small.', 'Another GPU or browser may have larger ones.'],
  lost: ['The GPU was lost twice.', 'Reload the page. If it happens again, close other pages that use the GPU, or update its driver.'],
  OutOfMemory: ['The GPU’s memory is full.', 'Close other pages and reload this one.'],
};

/** What stands in the way before anything is loaded; nothing if nothing does. */
export async function obstacle() {
  if (!globalThis.isSecureContext) return { reason: 'InsecureContext' };
  if (!navigator.gpu) return { reason: 'NoWebGPU' };
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  if (!adapter) return { reason: 'NoAdapter' };
  const { maxStorageBuffersPerShaderStage: buffers, maxComputeInvocationsPerWorkgroup: invocations } = adapter.limits;
  if (buffers < 8 || invocations < 256) return { reason: 'MissingLimit', detail: `${buffers} storage buffers for a shader and ${invocations} invocations in a workgroup; 8 and 256 are needed` };
  return undefined;
}

/** Says why, and plays what was recorded. */
export async function fallback(reason, detail, player) {
  const [why, advice] = ADVICE[reason] ?? ['The page could not start.', 'Reload it; if it stays so, please report the message.'];
  const notice = document.getElementById('fallback');
  const strong = Object.assign(document.createElement('strong'), { textContent: why });
  const rest = ` ${advice} Below are a recorded run and what the other parts are about; on your own GPU all of it is live.`;
  notice.replaceChildren(strong, rest, ...(detail ? [document.createElement('br'), `Details: ${detail}`] : []));
  notice.dataset.reason = document.documentElement.dataset.fallback = reason;
  notice.hidden = false;
  document.getElementById('adapter').textContent = 'none';
  document.getElementById('network').textContent = 'not loaded';
  document.getElementById('loading').classList.add('done');
  try {
    player.show(await (await fetch('recorded.json')).json());
  } catch (error) {
    notice.append(` (The recording could not be loaded: ${error.message})`);
  }
}
