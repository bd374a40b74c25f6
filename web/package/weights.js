// Reads a checkpoint's bytes from memory, a file or a URL, with progress, SHA-256, a cache, and downloads that continue
// where they were cut off.

import { named, none } from './checks.js';

/** The name of the browser's cache for checkpoints. Its entries are parts of files, so that nothing is written twice, and a list of parts for each file. */
const CACHE = 'lapidary-weights-2';
/** The names of earlier versions' caches, which are deleted. */
const FORMER = ['lapidary-weights-1'];
/** Waits before a download's second, third and fourth try, in ms. */
const WAITS = [300, 1000, 3000];
/** The number of bytes in a part of a file, as it is cached. */
const PART = 8 << 20;

/**
 * @param {string | URL | Blob | ArrayBuffer | Uint8Array} source
 * @param {{ sha256?: string, cache?: boolean, onProgress?: (progress: object) => void, signal?: AbortSignal }} options
 * @returns {Promise<{ bytes: Uint8Array, name: string, sha256: string | undefined }>}
 */
export async function readWeights(source, { sha256, cache = true, onProgress, signal, ...others } = {}) {
  none(others);
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
  const progress = (loaded, total, cached) => onProgress?.({ phase: 'weights', loaded, total, cached });
  const shelf = cache ? await Shelf.open(url) : undefined;
  const state = (await shelf?.read()) ?? { parts: [], loaded: 0, tag: '' };
  if (state.whole) {
    const bytes = joined(state);
    const found = await digest(bytes);
    // Without a given hash the server is asked whether the file is still the same one.
    if (sha256 ? found === sha256.toLowerCase() : await unchanged(url, state.tag, signal)) {
      progress(bytes.length, bytes.length, true);
      return { bytes, sha256: found };
    }
    await shelf.clear();
    Object.assign(state, { parts: [], loaded: 0, tag: '', whole: false });
  }
  for (let attempt = 0; ; attempt++) {
    try {
      await receive(url, state, signal, progress, shelf);
      break;
    } catch (error) {
      await shelf?.keep(state);
      signal?.throwIfAborted();
      if (error.final || attempt === WAITS.length) throw error;
      await new Promise((resolve) => setTimeout(resolve, WAITS[attempt]));
    }
  }
  const bytes = joined(state);
  let found;
  try {
    found = await checked(bytes, url.href, sha256);
  } catch (error) {
    await shelf?.clear();
    throw error;
  }
  await shelf?.keep(state, true);
  return { bytes, sha256: found };
}

/** Downloads the missing bytes of `state`, from its end on if the server can do that. */
async function receive(url, state, signal, progress, shelf) {
  const anew = async (tag) => {
    Object.assign(state, { parts: [], loaded: 0, tag });
    await shelf?.clear();
  };
  const headers = state.loaded > 0 ? { range: `bytes=${state.loaded}-` } : {};
  const response = await fetch(url, { headers, signal, credentials: 'same-origin' });
  if (response.status === 416) await anew('');
  if (!response.ok) {
    const error = named('BadFile', `${url.href}: the server answers ${response.status} ${response.statusText}`.trim());
    error.final = response.status >= 400 && response.status < 500 && response.status !== 416 && response.status !== 429;
    throw error;
  }
  const tag = tagOf(response);
  if (response.status === 206 && tag !== state.tag) {
    // Another file than the one that was begun: all of it again.
    await anew(tag);
    await response.body?.cancel();
    return receive(url, state, signal, progress, shelf);
  }
  if (response.status !== 206) await anew(tag);
  const length = Number(response.headers.get('content-length')) || 0;
  const encoded = response.headers.get('content-encoding');
  const total = length && !encoded ? state.loaded + length : undefined;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    state.parts.push(value);
    state.loaded += value.length;
    progress(state.loaded, total);
    if (shelf && state.loaded - shelf.kept >= PART) await shelf.keep(state);
  }
  if (total !== undefined && state.loaded < total) throw new Error(`${url.href}: the download was cut off at byte ${state.loaded} of ${total}`);
  return undefined;
}

const tagOf = (response) => response.headers.get('etag') ?? response.headers.get('last-modified') ?? '';

/**
 * What the browser's cache holds of one file. Nothing here fails: caches are there in secure contexts only, a private
 * window may deny them, and a full disk is no reason not to go on.
 */
class Shelf {
  #cache;
  #url;
  /** The ends of the written parts. */
  #ends = [];

  static async open(url) {
    try {
      const cache = await globalThis.caches.open(CACHE);
      FORMER.forEach((name) => caches.delete(name).catch(() => undefined));
      return new Shelf(cache, url);
    } catch {
      return undefined;
    }
  }

  constructor(cache, url) {
    this.#cache = cache;
    this.#url = url;
  }

  /** The number of bytes that are in the cache. */
  get kept() {
    return this.#ends.at(-1) ?? 0;
  }

  #entry(name) {
    const url = new URL(this.#url);
    url.searchParams.set('lapidary-part', name);
    return url;
  }

  async read() {
    try {
      const about = await (await this.#cache.match(this.#entry('list'))).json();
      const parts = [];
      for (const end of about.ends) parts.push(new Uint8Array(await (await this.#cache.match(this.#entry(end))).arrayBuffer()));
      const loaded = parts.reduce((sum, part) => sum + part.length, 0);
      if (loaded !== (about.ends.at(-1) ?? 0)) return undefined;
      this.#ends = about.ends;
      return { parts, loaded, tag: about.tag, whole: about.whole };
    } catch {
      return undefined;
    }
  }

  /** Writes the bytes received since the last time, and the list of parts. */
  async keep(state, whole = false) {
    try {
      if (state.loaded > this.kept) {
        const fresh = new Blob(after(state.parts, this.kept));
        await this.#cache.put(this.#entry(state.loaded), new Response(fresh));
        this.#ends.push(state.loaded);
      }
      const list = { tag: state.tag, ends: this.#ends, whole };
      if (this.kept) await this.#cache.put(this.#entry('list'), Response.json(list));
    } catch {
      await this.clear();
      // There is no room: no further try with this file.
      this.#cache = undefined;
    }
  }

  async clear() {
    const entries = ['list', ...this.#ends];
    this.#ends = [];
    await Promise.all(entries.map((entry) => this.#cache?.delete(this.#entry(entry)).catch(() => undefined)));
  }
}

async function unchanged(url, tag, signal) {
  if (!tag) return false;
  const response = await fetch(url, { method: 'HEAD', signal }).catch(() => undefined);
  // Without a network the copy is the best there is.
  return !response || (response.ok && tagOf(response) === tag);
}

/** Returns the bytes of `parts` from byte `from` on, without copies. */
function after(parts, from) {
  let end = 0;
  return parts.flatMap((part) => ((end += part.length) > from ? [part.subarray(Math.max(0, part.length - (end - from)))] : []));
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

/** Returns the SHA-256 in hexadecimal digits; undefined outside secure contexts. */
async function digest(bytes) {
  if (!globalThis.crypto?.subtle) return undefined;
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function checked(bytes, name, wanted) {
  const found = await digest(bytes);
  if (wanted && found && found !== wanted.toLowerCase()) {
    throw named('BadFile', `${name}: got SHA-256 ${found}; expected ${wanted}`);
  }
  return found;
}
