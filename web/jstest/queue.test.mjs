import test from 'node:test';
import assert from 'node:assert/strict';
import { Queue, sender, newKey } from '../static/queue.js';
import { Clock } from '../static/clock.js';

// A Storage as browsers have it.
class Storage {
  m = new Map();
  get length() { return this.m.size; }
  key(i) { return [...this.m.keys()][i] ?? null; }
  getItem(k) { return this.m.get(k) ?? null; }
  setItem(k, v) { this.m.set(k, String(v)); }
  removeItem(k) { this.m.delete(k); }
}

// timers runs what was put off, when told.
function timers() {
  const list = [];
  return { list, later: (f, ms) => { list.push({ f, ms }); return list.length; }, never: () => {} };
}

const entry = (key, text = key) => ({ key, topic: 'commons', text });
const queue = (storage, send, t = timers(), extra = {}) => new Queue({ storage, send, now: () => 1000, later: t.later, never: t.never, random: () => 0.5, ...extra });

test('what is written is kept before it is sent, and goes once it was taken', async () => {
  const s = new Storage();
  const seen = [];
  const q = queue(s, async (e) => { seen.push([e.key, s.length]); return { id: `id-${e.key}` }; });
  const sent = [];
  q.sent = (e, id) => sent.push(id);
  q.add(entry('a'));
  q.add(entry('b'));
  assert.equal(s.length, 2);
  await q.flush();
  assert.deepEqual(seen, [['a', 2], ['b', 1]]);
  assert.deepEqual(sent, ['id-a', 'id-b']);
  assert.equal(s.length, 0);
});

test('without the machine it waits, longer and longer, and keeps its order', async () => {
  const s = new Storage();
  const t = timers();
  let up = false;
  const seen = [];
  const q = queue(s, async (e) => { if (!up) return { retry: 0, why: '' }; seen.push(e.key); return { id: 'x' }; }, t);
  const reached = [];
  q.reached = (ok) => reached.push(ok);
  q.add(entry('b'));
  q.add({ ...entry('a'), at: 2000 });
  for (let i = 0; i < 7; i++) await q.flush();
  assert.deepEqual(t.list.map((x) => x.ms), [1000, 2000, 4000, 8000, 16000, 30000, 30000]);
  up = true;
  await q.flush();
  assert.deepEqual(seen, ['b', 'a']);
  assert.deepEqual(reached, [...Array(7).fill(false), true, true]);
});

test('a second tab, or the next visit, sends what the first left', async () => {
  const s = new Storage();
  queue(s, async () => ({ retry: 0 })).add(entry('a'));
  const keys = [];
  const next = queue(s, async (e) => { keys.push(e.key); return { id: 'x' }; });
  await next.flush();
  assert.deepEqual(keys, ['a']);
  assert.equal(s.length, 0);
});

test('what another tab has sent does not come back as waiting', async () => {
  const s = new Storage();
  const q = queue(s, async (e) => { s.removeItem(`drey.queue.${e.key}`); return { retry: 0, why: 'late' }; });
  q.add(entry('a'));
  await q.flush();
  assert.equal(s.length, 0);
});

test('what is refused is kept with its reason, and holds nobody up', async () => {
  const s = new Storage();
  const q = queue(s, async (e) => (e.key === 'a' ? { refused: 'too long' } : { id: 'x' }));
  q.add(entry('a'));
  q.add(entry('b'));
  await q.flush();
  assert.deepEqual(q.all().map((e) => [e.key, e.state, e.why]), [['a', 'failed', 'too long']]);
  q.send = async () => ({ id: 'y' });
  await q.again('a');
  assert.equal(s.length, 0);
});

test('two flushes at once send once', async () => {
  const s = new Storage();
  let n = 0;
  const q = queue(s, async () => { n++; return { id: 'x' }; });
  q.add(entry('a'));
  await Promise.all([q.flush(), q.flush(), q.flush()]);
  assert.equal(n, 1);
});

test('what cannot be read is left alone, and a full queue says so', () => {
  const s = new Storage();
  s.setItem('drey.queue.bad', '{');
  s.setItem('drey.queue.null', 'null');
  s.setItem('other', '{"key":"x","text":""}');
  const q = queue(s, async () => ({ id: 'x' }));
  assert.deepEqual(q.all(), []);
  for (let i = 0; i < 200; i++) q.add(entry(`k${i}`));
  assert.throws(() => q.add(entry('one more')), /full/);
  assert.equal(s.length, 203);
});

const answers = (status, body, headers = {}) => async () => new Response(JSON.stringify(body), { status, headers });
const fault = (p) => p.code;

test('answers of the machine become what happens next', async () => {
  const ask = (fetcher) => sender({ fetcher, fault })({ ...entry('k'), name: 'Ana' });
  assert.deepEqual(await ask(answers(202, { id: 'abc' })), { id: 'abc' });
  assert.deepEqual(await ask(answers(429, { error: { code: 'too-fast' } }, { 'Retry-After': '7' })), { retry: 7000, why: 'too-fast' });
  assert.deepEqual(await ask(answers(503, { error: { code: 'busy' } })), { retry: 0, why: 'busy' });
  assert.deepEqual(await ask(answers(413, { error: { code: 'too-large' } })), { refused: 'too-large' });
  assert.deepEqual(await ask(answers(429, { error: { code: 'airtime' } })), { refused: 'airtime' });
  assert.deepEqual(await ask(async () => { throw new TypeError('no network'); }), { retry: 0, why: '' });
  assert.deepEqual(await ask(async () => new Response('<html>a captive portal', { status: 200 })), { retry: 0, why: '200' });
});

test('a signed event goes as it is', async () => {
  let got;
  const fetcher = async (url, o) => { got = [url, o.body, o.headers['Idempotency-Key']]; return new Response('{"id":"e"}', { status: 202 }); };
  await sender({ fetcher, fault })({ ...entry('k'), event: { id: 'e' } });
  assert.deepEqual(got, ['/v1/events', '{"id":"e"}', 'k']);
});

test('keys are long and of the form that the machine takes from anywhere', () => {
  assert.match(newKey(), /^page-[0-9a-f]{32}$/);
  assert.notEqual(newKey(), newKey());
});

test('a wrong clock is noticed and corrected', () => {
  const day = 24 * 3600 * 1000;
  const here = Date.UTC(2026, 0, 2);
  const c = new Clock(() => here);
  assert.equal(c.known, false);
  assert.ok(c.hear(here + day));
  assert.equal(c.seconds(), (here + day) / 1000);
  assert.equal(c.wrong(), -1440);
  assert.ok(c.hear(here + 1500));
  assert.equal(c.wrong(), 0);
  assert.equal(c.seconds(), here / 1000);
  assert.ok(c.hear(here - 120000));
  assert.equal(c.wrong(), 2);
  for (const bad of [undefined, NaN, 0, Infinity]) assert.equal(c.hear(bad), false);
});
