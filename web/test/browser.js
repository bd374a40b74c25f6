// Starts the browser of the tests, a headless Chromium with WebGPU on SwiftShader.

import { chromium } from 'playwright-core';

const FLAGS = [
  '--headless=new', '--no-sandbox', '--enable-unsafe-webgpu', '--enable-features=Vulkan', '--use-vulkan=swiftshader',
  '--use-angle=swiftshader', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

const start = (more) => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: [...FLAGS, ...more] });

/** Chromium itself now and then crashes before it has started (a segmentation fault, seen once), so a start that fails is tried once more. */
export const launch = (more = []) => start(more).catch(() => start(more));
