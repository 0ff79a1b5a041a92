// What the page does beyond its HTML. This file only looks what is there and
// fetches the part for it; without any of them reading and writing work.
import { Clock } from './clock.js';
import { loadWords } from './words.js';

const { lang, strings, now, view, scope } = document.body.dataset;

// The node's clock when it wrote this page, moved on to this moment.
const clock = new Clock();
const [reply] = performance.getEntriesByType?.('navigation') ?? [];
clock.hear(Number(now) + (reply?.responseStart ? performance.now() - reply.responseStart : 0));

const page = { clock, lang, view, scope };

const parts = [
  ['form[data-compose]', () => import('./compose.js')],
  ['[data-live], [data-topic-row]', () => import('./live.js')],
  ['[data-refresh][id]', () => import('./refresh.js')],
  ['form[data-scan]', () => import('./scan.js')],
  ['[data-private]', () => import('./private.js')],
];

async function run() {
  const [, ...loaded] = await Promise.all([
    loadWords(strings, lang),
    ...parts.map(async ([selector, load]) => {
      const found = document.querySelector(selector);
      return found && { found, part: await load() };
    }),
  ]);
  for (const l of loaded) l?.part.begin(l.found, page);
  document.documentElement.dataset.script = 'ready';
  if (left()) (await import('./outbox.js')).wake();
}

// left tells whether something written on another page still waits.
function left() {
  try {
    return Object.keys(localStorage).some((k) => k.startsWith('drey.queue.'));
  } catch {
    return false;
  }
}

run();
