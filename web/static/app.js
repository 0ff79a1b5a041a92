// What the page does beyond its HTML. This file only looks what is there and
// fetches the part for it; without any of them reading and writing work. It
// imports nothing by itself, so that whatever does not come is tried again.

const { lang, strings, now, view, scope } = document.body.dataset;

const parts = [
  ['form[data-compose]', () => import('./compose.js')],
  ['[data-live], [data-topic-row]', () => import('./live.js')],
  ['[data-refresh][id]', () => import('./refresh.js')],
  ['form[data-scan]', () => import('./scan.js')],
  ['[data-private]', () => import('./private.js')],
];

// load fetches all parts before any of them begins.
async function load() {
  const [{ Clock }, outbox, , ...found] = await Promise.all([
    import('./clock.js'),
    left() && import('./outbox.js'),
    import('./words.js').then((words) => words.loadWords(strings, lang)),
    ...parts.map(async ([selector, get]) => {
      const place = document.querySelector(selector);
      if (!place) return null;
      const part = await get();
      await part.ready?.();
      return { place, part };
    }),
  ]);
  return { Clock, outbox, found };
}

function begin({ Clock, outbox, found }) {
  // The node's clock when it wrote this page, moved on to this moment.
  const clock = new Clock();
  const [reply] = performance.getEntriesByType?.('navigation') ?? [];
  clock.hear(Number(now) + (reply?.responseStart ? performance.now() - reply.responseStart : 0));
  tell(false);
  for (const f of found) f?.part.begin(f.place, { clock, lang, view, scope });
  document.documentElement.dataset.script = 'ready';
  if (outbox) outbox.wake();
}

// left tells whether something written on another page still waits.
function left() {
  try {
    return Object.keys(localStorage).some((k) => k.startsWith('drey.queue.'));
  } catch {
    return false;
  }
}

// tell says, or says no more, that parts are missing.
function tell(missing) {
  const place = document.querySelector('[data-unready]');
  if (place) place.textContent = missing ? place.dataset.unready : '';
}

const least = 2000; // ms until the next try, doubled each time
const most = 30000;
const [, base, before = '0'] = /^(.*?)(?:~(\d+))?\/app\.js$/.exec(import.meta.url);
let tries = Number(before);

// again fetches this file and its parts once more, as soon as the machine may be
// in reach or somebody uses the page. Browsers remember that a module did not
// come, so all have another address then.
function again() {
  tell(true);
  tries++;
  const used = new AbortController();
  const go = () => {
    clearTimeout(timer);
    used.abort();
    import(`${base}~${tries}/app.js`).catch(again);
  };
  const timer = setTimeout(go, Math.min(most, least * 2 ** (tries - 1)));
  for (const sign of ['online', 'focusin', 'pageshow']) addEventListener(sign, go, { signal: used.signal });
}

load().then(begin, again);
