// Keeps in the browser's cache which kernels were measured to be the fastest on an adapter, so that the next visit need not
// measure again. Nothing here fails: without a cache, as in a private window, the next visit measures anew.

const CACHE = 'lapidary-choices-1';
/** An address of this site that is never fetched: it names the only entry. */
const entry = () => new URL('lapidary-choices.json', globalThis.location?.href);

/** Returns the table of measured kernels that an earlier visit kept, if there is one. Whether it fits the adapter is for its reader to say. */
export async function keptChoices() {
  try {
    const cache = await globalThis.caches.open(CACHE);
    return await (await cache.match(entry()))?.text();
  } catch {
    return undefined;
  }
}

export async function keepChoices(table) {
  try {
    const cache = await globalThis.caches.open(CACHE);
    await cache.put(entry(), new Response(table, { headers: { 'content-type': 'application/json' } }));
  } catch {
    // The disk may be full, or the cache denied.
  }
}
