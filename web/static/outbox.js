// The page's one queue of what was written here, whoever asks for it.
import { Queue, sender } from './queue.js';
import { say } from './words.js';

let listeners = [];

// storage is the browser's; where it is forbidden, memory that ends with the page.
function storage() {
  try {
    localStorage.setItem('drey.try', '1');
    localStorage.removeItem('drey.try');
    return localStorage;
  } catch {
    const m = new Map();
    return {
      get length() {
        return m.size;
      },
      key: (i) => [...m.keys()][i] ?? null,
      getItem: (k) => m.get(k) ?? null,
      setItem: (k, v) => m.set(k, String(v)),
      removeItem: (k) => m.delete(k),
    };
  }
}

export const kept = storage();

// fault tells a problem of the API in the visitor's words.
export function fault(p) {
  switch (p.code) {
    case 'too-large':
      return say('js.too-large');
    case 'too-fast':
      return say('js.too-fast');
    case 'forbidden':
    case 'refused':
    case 'unknown-author':
      return [say('js.refused'), p.why].filter(Boolean).join(' ');
    case 'busy':
    case 'stopping':
      return say('js.busy');
    case 'gone':
    case 'not-found':
      return say('js.parent-gone');
  }
  return [p.what ?? say('js.answer', { code: p.code }), p.why].filter(Boolean).join(': ');
}

export const queue = new Queue({
  storage: kept,
  send: sender({ fault, fetcher: (...a) => fetch(...a) }),
  later: (f, ms) => setTimeout(f, ms),
  never: (t) => clearTimeout(t),
  changed: () => listeners.forEach((f) => f()),
});
queue.sent = (entry, id) => listeners.forEach((f) => f(entry, id));

// listen hears of every change; with (entry, id) when one was taken.
export function listen(f) {
  listeners = [...listeners, f];
}

// reached hears, after each attempt, whether the machine answered.
export function reached(f) {
  queue.reached = f;
}

// wake sends what waits, as when the machine is in reach again.
export function wake() {
  if (queue.all().some((e) => e.state === 'waiting')) queue.flush();
}

const patience = 1500; // ms

// settled waits, not for long, for the answer to what is on its way: the message
// may be this one, and is to take the place of what waits in the list.
export function settled() {
  if (!queue.busy) return Promise.resolve();
  return Promise.race([queue.busy, new Promise((r) => setTimeout(r, patience))]);
}

addEventListener('online', wake);
addEventListener('pageshow', wake);
addEventListener('pagehide', wake);
addEventListener('storage', (e) => {
  if (e.key === null || e.key.startsWith('drey.queue.')) listeners.forEach((f) => f());
});
