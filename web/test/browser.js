// Starts the browser of the tests, a headless Chromium with WebGPU on SwiftShader, and answers with an empty page.

import { chromium } from 'playwright-core';

const FLAGS = [
  '--headless=new', '--no-sandbox', '--enable-unsafe-webgpu', '--enable-features=Vulkan', '--use-vulkan=swiftshader',
  '--use-angle=swiftshader', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

const start = (more) => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: [...FLAGS, ...more] });

/** Chromium itself now and then crashes before it has started (a segmentation fault, seen once), so a start that fails is tried once more. */
export const launch = (more = []) => start(more).catch(() => start(more));

/** Answers a request for /blank.html with an empty page, on which a test runs its own script; for `serve`. */
export function blank(request, response) {
  if (request.url.split('?')[0] !== '/blank.html') return false;
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<!doctype html><title>blank</title>');
  return true;
}
