// Tests the report of `lapidary eval all` in a headless Chromium: it is one file that loads nothing else, shown in light and in dark.
//
//   node --test web/test/report.test.js        needs the built program `lapidary` (LAPIDARY=FILE names another)
//
// LAPIDARY_REPORT names a report to look at in place of a small one made here; LAPIDARY_PICTURES a folder for pictures of it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { launch } from './browser.js';

const root = new URL('../../', import.meta.url).pathname;
const program = process.env.LAPIDARY ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'release/lapidary');
const axe = readFileSync(join(root, 'web/node_modules/axe-core/axe.min.js'), 'utf8');

let folder, report, browser;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lapidary-report-'));
  report = process.env.LAPIDARY_REPORT ?? join(folder, 'report.html');
  const settings = ['--out', folder, '--images', '24', '--samples', '20', '--eps', '0.25,0.5', '--quiet'];
  if (!process.env.LAPIDARY_REPORT) execFileSync(program, ['eval', 'all', ...settings], { env: { NODEVICE_SELECT: '1', ...process.env }, stdio: 'pipe' });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1200, 390]) {
    test(`the report opens without an error or a request, ${colorScheme}, ${width} wide`, async () => {
      const problems = [];
      const requests = [];
      const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
      page.on('pageerror', (error) => problems.push(String(error)));
      page.on('console', (message) => ['error', 'warning'].includes(message.type()) && problems.push(message.text()));
      page.on('request', (request) => request.url().startsWith('data:') || requests.push(request.url()));
      await page.goto(pathToFileURL(report).href);
      const seen = await page.evaluate(async () => {
        await Promise.all([...document.images].map((image) => image.decode()));
        const background = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number);
        return {
          images: document.images.length,
          charts: document.querySelectorAll('svg').length,
          tables: document.querySelectorAll('table').length,
          dark: background[0] + background[1] + background[2] < 384,
          overflows: document.documentElement.scrollWidth > innerWidth,
        };
      });
      assert.ok(seen.images >= 2 && seen.charts >= 3 && seen.tables >= 3, JSON.stringify(seen));
      assert.equal(seen.dark, colorScheme === 'dark');
      assert.equal(seen.overflows, false);
      await page.addScriptTag({ content: axe });
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), []);
      assert.deepEqual(problems, []);
      assert.deepEqual(requests, [pathToFileURL(report).href]);
      assert.ok(statSync(report).size < 5e6);
      if (process.env.LAPIDARY_PICTURES) await page.screenshot({ path: join(process.env.LAPIDARY_PICTURES, `report-${colorScheme}-${width}.png`), fullPage: true });
      await page.close();
    });
  }
}
