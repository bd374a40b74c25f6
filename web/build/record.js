// Makes web/page/recorded.json (the sampling run that is shown without WebGPU) and the README's pictures of the page anew, in a
// headless Chromium:
//
//   scripts/web && node web/build/record.js        builds the page, then records it and takes its pictures

import { copyFileSync } from 'node:fs';
import { launch } from '../test/browser.js';
import { serve } from './serve.js';

const root = new URL('../../', import.meta.url).pathname;
const { server, url } = await serve(`${root}web/dist`);
const browser = await launch();
const page = await browser.newPage({ viewport: { width: 1060, height: 800 }, reducedMotion: 'reduce' });
await page.goto(`${url}?seed=3&class=all`);
await page.waitForFunction(() => document.documentElement.dataset.ready);
await page.fill('#steps', '30');
await page.click('#sample');
await page.waitForFunction(() => document.documentElement.dataset.sampled, undefined, { timeout: 120_000 });
const [download] = await Promise.all([page.waitForEvent('download'), page.click('#export-trajectory')]);
copyFileSync(await download.path(), `${root}web/page/recorded.json`);
await page.locator('#draw').screenshot({ path: `${root}docs/web-draw.png` });
// A sneaker, towards an ankle boot.
await page.locator('#examples button').nth(7).click();
await page.waitForFunction(() => document.querySelector('#examples button:nth-child(8)').ariaPressed === 'true');
await page.selectOption('#target', '9');
await page.click('#explain');
await page.waitForFunction(() => document.getElementById('explained').textContent.includes('became'));
await page.locator('#image').screenshot({ path: `${root}docs/web-explain.png` });
await browser.close();
server.close();
