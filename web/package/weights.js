// A checkpoint's bytes: from memory, a file or an address, with progress, its SHA-256, a cache, and downloads that go
// on where they were cut off.

const CACHE = 'lapidary-weights-1';
/** Waits before the second, third and fourth try, in ms. */
const WAITS = [300, 1000, 3000];
/** An unfinished download is kept each time so many more bytes have come. */
const KEEP_EVERY = 8 << 20;

/**
 * @param {string | URL | Blob | ArrayBuffer | Uint8Array} source
 * @param {{ sha256?: string, cache?: boolean, onProgress?: (progress: object) => void, signal?: AbortSignal }} options
 * @returns {Promise<{ bytes: Uint8Array, name: string, sha256: string | undefined }>}
 */
export async function readWeights(source, { sha256, cache = true, onProgress, signal } = {}) {
  let bytes;
  let name = 'checkpoint';
  if (source instanceof Uint8Array) bytes = source;
  else if (source instanceof ArrayBuffer) bytes = new Uint8Array(source);
  else if (source instanceof Blob) {
    bytes = new Uint8Array(await source.arrayBuffer());
    name = source.name ?? name;
  } else {
    const url = new URL(source, globalThis.location?.href);
    name = url.pathname.split('/').pop() || url.host;
    return { name, ...(await download(url, { sha256, cache, onProgress, signal })) };
  }
  signal?.throwIfAborted();
  onProgress?.({ phase: 'weights', loaded: bytes.length, total: bytes.length });
  return { bytes, name, sha256: await checked(bytes, name, sha256) };
}

async function download(url, { sha256, cache, onProgress, signal }) {
  // Caches are there in secure contexts only; without one all still works.
  const kept = cache ? await globalThis.caches?.open(CACHE).catch(() => undefined) : undefined;
  const progress = (loaded, total, cached) => onProgress?.({ phase: 'weights', loaded, total, cached });
  const whole = await kept?.match(url);
  if (whole) {
    const bytes = new Uint8Array(await whole.arrayBuffer());
    const found = await digest(bytes);
    // Without a given hash the server is asked whether the file is still the same one.
    if (sha256 ? found === sha256 : await unchanged(url, whole, signal)) {
      progress(bytes.length, bytes.length, true);
      return { bytes, sha256: found };
    }
    await kept.delete(url);
  }
  const partial = new URL(url);
  partial.searchParams.set('lapidary-unfinished', '1');
  const state = await unfinished(kept, partial);
  for (let attempt = 0; ; attempt++) {
    try {
      await receive(url, state, signal, progress, () => keep(kept, partial, state));
      break;
    } catch (error) {
      await keep(kept, partial, state);
      signal?.throwIfAborted();
      if (error.final || attempt === WAITS.length) throw error;
      await new Promise((resolve) => setTimeout(resolve, WAITS[attempt]));
    }
  }
  const bytes = joined(state);
  await kept?.delete(partial);
  const found = await checked(bytes, url.href, sha256);
  const headers = { 'content-type': 'application/octet-stream', 'x-tag': state.tag };
  // A full disk is no reason to fail.
  await kept?.put(url, new Response(bytes, { headers })).catch(() => undefined);
  return { bytes, sha256: found };
}

/** Receives what is missing of `state`, from its end on where the server can do that. */
async function receive(url, state, signal, progress, keepNow) {
  const headers = state.loaded > 0 ? { range: `bytes=${state.loaded}-` } : {};
  const response = await fetch(url, { headers, signal, credentials: 'same-origin' });
  if (response.status === 416) Object.assign(state, { parts: [], loaded: 0 });
  if (!response.ok) {
    const error = new Error(`${url.href}: the server answers ${response.status} ${response.statusText}`.trim());
    error.name = 'BadFile';
    error.final = response.status >= 400 && response.status < 500 && response.status !== 416 && response.status !== 429;
    throw error;
  }
  const tag = tagOf(response);
  if (response.status !== 206 || tag !== state.tag) {
    if (response.status === 206) {
      // Another file than the one that was begun: all of it again.
      Object.assign(state, { parts: [], loaded: 0, tag });
      await response.body?.cancel();
      return receive(url, state, signal, progress, keepNow);
    }
    Object.assign(state, { parts: [], loaded: 0, tag });
  }
  const length = Number(response.headers.get('content-length')) || 0;
  const encoded = response.headers.get('content-encoding');
  const total = length && !encoded ? state.loaded + length : undefined;
  let keptAt = state.loaded;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    state.parts.push(value);
    state.loaded += value.length;
    progress(state.loaded, total);
    if (state.loaded - keptAt > KEEP_EVERY) {
      keptAt = state.loaded;
      await keepNow();
    }
  }
  if (total !== undefined && state.loaded < total) throw new Error(`${url.href}: cut off at byte ${state.loaded} of ${total}`);
}

const tagOf = (response) => response.headers.get('etag') ?? response.headers.get('last-modified') ?? '';

async function unfinished(kept, partial) {
  const response = await kept?.match(partial);
  if (!response) return { parts: [], loaded: 0, tag: '' };
  const bytes = new Uint8Array(await response.arrayBuffer());
  return { parts: [bytes], loaded: bytes.length, tag: response.headers.get('x-tag') ?? '' };
}

async function keep(kept, partial, state) {
  if (!kept || state.loaded === 0) return;
  await kept.put(partial, new Response(joined(state), { headers: { 'x-tag': state.tag } })).catch(() => undefined);
}

async function unchanged(url, whole, signal) {
  const tag = whole.headers.get('x-tag');
  if (!tag) return false;
  const response = await fetch(url, { method: 'HEAD', signal }).catch(() => undefined);
  // Without a network the copy is the best there is.
  return !response || (response.ok && tagOf(response) === tag);
}

function joined(state) {
  if (state.parts.length === 1) return state.parts[0];
  const bytes = new Uint8Array(state.loaded);
  let at = 0;
  for (const part of state.parts) {
    bytes.set(part, at);
    at += part.length;
  }
  state.parts = [bytes];
  return bytes;
}

/** The hash, in hex; none outside secure contexts. */
async function digest(bytes) {
  if (!globalThis.crypto?.subtle) return undefined;
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function checked(bytes, name, wanted) {
  const found = await digest(bytes);
  if (wanted && found && found !== wanted.toLowerCase()) {
    const error = new Error(`${name}: SHA-256 ${found} given, ${wanted} wanted`);
    error.name = 'BadFile';
    throw error;
  }
  return found;
}
