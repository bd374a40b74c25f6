// Which kernels were the fastest on a device, kept in the browser's IndexedDB. Without one, as in some private windows,
// they are measured at every visit.

const DATABASE = 'lapidary';
const STORE = 'choices';

/** What a device's choices are kept under; undefined for one that computes on the CPU, which is not measured. */
export function keyOf(info) {
  const { vendor, architecture, device, description, isFallbackAdapter } = info ?? {};
  if (isFallbackAdapter || architecture === 'swiftshader' || !vendor) return undefined;
  return [vendor, architecture, device, description, globalThis.navigator?.userAgent].join(' ');
}

/** The kept text, or an empty one. */
export async function readChoices(key) {
  return (await within('readonly', (store) => store.get(key))) ?? '';
}

/** Keeps a text for the next visit. */
export async function keepChoices(key, text) {
  await within('readwrite', (store) => store.put(text, key));
}

/** The result of a request to the store; undefined where there is none or it fails, which costs time alone. */
async function within(mode, ask) {
  try {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    const database = await answer(opening);
    try {
      return await answer(ask(database.transaction(STORE, mode).objectStore(STORE)));
    } finally {
      database.close();
    }
  } catch {
    return undefined;
  }
}

function answer(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = request.onblocked = () => reject(request.error);
  });
}
