// Serves a folder on 127.0.0.1, to look at the page and for its tests; any other static server works too.
//
//   node web/build/serve.js FOLDER [PORT]        serves FOLDER on PORT (8080)

import { createServer } from 'node:http';
import { createReadStream, statSync } from 'node:fs';
import { extname, join, normalize, sep } from 'node:path';
import { pathToFileURL } from 'node:url';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
};

/** Serves `folder`; `intercept` may answer a request itself by returning true. */
export function serve(folder, port = 0, intercept = () => false) {
  const server = createServer((request, response) => {
    if (intercept(request, response)) return;
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
    const file = normalize(join(folder, path.endsWith('/') ? `${path}index.html` : path));
    let about;
    try {
      about = file.startsWith(normalize(folder) + sep) && statSync(file);
    } catch {
      about = undefined;
    }
    if (!about?.isFile()) {
      response.writeHead(404).end('not found');
      return;
    }
    const headers = {
      'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
      'cache-control': 'no-cache',
      etag: `"${about.size}-${about.mtimeMs}"`,
      'accept-ranges': 'bytes',
      'x-content-type-options': 'nosniff',
    };
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    const start = range ? Number(range[1]) : 0;
    if (range && start >= about.size) {
      response.writeHead(416, { 'content-range': `bytes */${about.size}` }).end();
      return;
    }
    headers['content-length'] = about.size - start;
    if (range) headers['content-range'] = `bytes ${start}-${about.size - 1}/${about.size}`;
    response.writeHead(range ? 206 : 200, headers);
    if (request.method === 'HEAD') response.end();
    else createReadStream(file, { start }).pipe(response);
  });
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => resolve({ server, url: `http://127.0.0.1:${server.address().port}/` }));
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { url } = await serve(process.argv[2], Number(process.argv[3] ?? 8080));
  console.log(`serving ${url}  (Ctrl-C ends the server)`);
}
