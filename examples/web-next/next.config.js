/** The folder of the server that has the pages, as '/some/path': Next.js writes it into every address. */
const basePath = process.env.BASE_PATH ?? '';

// Next.js sends its makers no counts of how it is used, unless this says 0.
process.env.NEXT_TELEMETRY_DISABLED ??= '1';

export default {
  // Files in `out/`, which any server hosts: the network runs in the visitor's browser, and nothing on the server.
  output: 'export',
  basePath,
  env: { BASE_PATH: basePath },
};
