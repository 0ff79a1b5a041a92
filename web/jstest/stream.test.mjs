import test from 'node:test';
import assert from 'node:assert/strict';
import { Feed } from '../static/feed.js';
import { Election } from '../static/elect.js';

// A Clock runs timers when told.
class Clock {
  now = 0;
  list = [];
  later = (f, ms) => {
    const t = { f, at: this.now + ms };
    this.list.push(t);
    return t;
  };
  never = (t) => {
    this.list = this.list.filter((x) => x !== t);
  };
  pass(ms) {
    const end = this.now + ms;
    for (;;) {
      const t = this.list.filter((x) => x.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!t) break;
      this.now = t.at;
      this.never(t);
      t.f();
    }
    this.now = end;
  }
}

// A Source is an EventSource of a machine that keeps everything.
class Machine {
  log = [];
  open = [];
  connect = (url) => {
    const s = { url, on: {}, closed: false, close: () => { s.closed = true; this.open = this.open.filter((x) => x !== s); }, addEventListener: (n, f) => { s.on[n] = f; } };
    const after = new URL(url, 'http://x').searchParams.get('after');
    s.after = after === null ? this.log.length : Number(after);
    this.open.push(s);
    return s;
  };
  answer(s) {
    s.onopen({});
    for (const m of this.log.filter((x) => x.seq > s.after)) this.send(s, m);
  }
  send(s, m) {
    s.on.message({ data: m.text, lastEventId: String(m.seq) });
    s.after = m.seq;
  }
  say(text) {
    const m = { seq: this.log.length + 1, text };
    this.log.push(m);
    for (const s of this.open) this.send(s, m);
  }
  cut() {
    for (const s of [...this.open]) s.onerror({});
  }
}

function world(seed = 0.5) {
  const clock = new Clock();
  const machine = new Machine();
  const told = [];
  const feed = new Feed({ lang: 'uk', open: machine.connect, tell: (m) => told.push(m), now: () => clock.now, later: clock.later, never: clock.never, random: () => seed });
  const texts = () => told.filter((m) => m.name === 'message').map((m) => m.data);
  const states = () => told.filter((m) => m.type === 'state').map((m) => m.up);
  return { clock, machine, told, feed, texts, states };
}

test('a stream that breaks goes on without gap or double', () => {
  const { clock, machine, feed, texts, states } = world();
  for (const t of ['a', 'b', 'c']) machine.say(t);
  feed.hello(1);
  machine.answer(machine.open[0]);
  machine.say('d');
  machine.cut();
  machine.say('e'); // while nobody listens
  clock.pass(1000);
  assert.equal(machine.open.length, 1);
  machine.answer(machine.open[0]);
  machine.send(machine.open[0], machine.log[4]); // said twice
  assert.deepEqual(texts(), ['b', 'c', 'd', 'e']);
  assert.deepEqual(states(), [true, false, true]);
});

test('the pauses between attempts grow to half a minute', () => {
  const { clock, machine, feed } = world();
  feed.hello(0);
  const at = [];
  for (let i = 0; i < 8; i++) {
    machine.cut();
    const before = clock.now;
    while (machine.open.length === 0) clock.pass(500);
    at.push(clock.now - before);
  }
  assert.deepEqual(at, [1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
});

test('silence is a dead line, and somebody who looks is not kept waiting', () => {
  const { clock, machine, feed, states } = world();
  feed.hello(0);
  machine.answer(machine.open[0]);
  clock.pass(40000);
  machine.open[0].on.alive({ data: '{"now":1}' });
  clock.pass(40000);
  assert.deepEqual(states(), [true]);
  clock.pass(6000);
  assert.equal(machine.open.length, 1, 'it tried again');
  assert.deepEqual(states(), [true, false]);
  machine.cut();
  feed.wake();
  assert.equal(machine.open.length, 1);
  machine.answer(machine.open[0]);
  assert.deepEqual(states(), [true, false, false, true]);
  // A line that speaks is kept, and its state is told.
  const [line] = machine.open;
  feed.wake();
  assert.deepEqual(states(), [true, false, false, true, true]);
  assert.equal(machine.open[0], line);
  // After the network was away, or after silence, it is not trusted.
  feed.wake(true);
  assert.notEqual(machine.open[0], line);
  machine.answer(machine.open[0]);
  const [next] = machine.open;
  clock.pass(30000);
  feed.wake();
  assert.notEqual(machine.open[0], next);
  assert.equal(machine.open.length, 1);
});

test('a tab that comes later gets what it lacks', () => {
  const { machine, feed, texts } = world();
  for (const t of ['a', 'b']) machine.say(t);
  feed.hello(2);
  machine.answer(machine.open[0]);
  machine.say('c');
  assert.deepEqual(feed.hello(2).map((m) => m.data), ['c']);
  assert.deepEqual(feed.hello(3), []);
  assert.equal(machine.open.length, 1);
  // One that shows less than the stream began with.
  assert.deepEqual(feed.hello(0), []);
  assert.equal(machine.open.length, 1);
  machine.answer(machine.open[0]);
  assert.deepEqual(texts(), ['c', 'a', 'b', 'c']);
});

test('what is kept for later tabs is bounded', () => {
  const { machine, feed } = world();
  feed.hello(0);
  machine.answer(machine.open[0]);
  for (let i = 0; i < 1000; i++) machine.say(`m${i}`);
  assert.equal(feed.hello(700).length, 300);
  assert.equal(feed.hello(699).length, 0, 'it starts over from there');
  assert.equal(machine.open[0].after, 699);
});

// tabs joins elections by a channel of their own.
function tabs(ids, random = () => 0.5) {
  const clock = new Clock();
  const all = new Map();
  const holding = new Set();
  const frozen = new Set();
  const post = (from) => (m) => {
    for (const [id, e] of all) if (id !== from && !frozen.has(id) && !frozen.has(from)) e.hear(m);
  };
  const add = (id) => {
    const e = new Election({ id, post: post(id), lead: () => holding.add(id), follow: () => holding.delete(id),
      later: (f, ms) => clock.later(() => { if (!frozen.has(id)) f(); }, ms), never: clock.never, random });
    all.set(id, e);
    e.start();
    return e;
  };
  ids.forEach(add);
  return { clock, all, holding, frozen, add };
}

test('one tab leads, and another when it goes', () => {
  const { clock, all, holding, add } = tabs(['b', 'a', 'c']);
  clock.pass(1000);
  assert.deepEqual([...holding].length, 1);
  const [first] = holding;
  add('z');
  clock.pass(30000);
  assert.deepEqual([...holding], [first]);
  all.get(first).stop();
  all.delete(first);
  clock.pass(1000);
  assert.equal(holding.size, 1);
  assert.ok(!holding.has(first));
});

test('a tab that the phone froze is replaced, and yields or wins when it thaws, never both', () => {
  const { clock, holding, frozen } = tabs(['a', 'b']);
  clock.pass(1000);
  const [first] = holding;
  frozen.add(first);
  clock.pass(20000);
  assert.equal(holding.size, 2, 'the frozen one does not know');
  frozen.delete(first);
  clock.pass(13000);
  assert.equal(holding.size, 1);
});

test('with any timing there is one leader in the end', () => {
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  for (let round = 0; round < 200; round++) {
    const { clock, holding } = tabs(['d', 'a', 'c', 'b', 'e'], random);
    clock.pass(30000);
    assert.equal(holding.size, 1, `round ${round}`);
  }
});

test('when too much was missed, everybody hears where to begin', () => {
  const { machine, told, feed, texts } = world();
  feed.hello(5);
  machine.open[0].onopen({});
  machine.open[0].on.reset({ data: '{}', lastEventId: '900' });
  assert.deepEqual(told.filter((m) => m.name === 'reset').map((m) => m.seq), [900]);
  machine.open[0].on.message({ data: 'x', lastEventId: '901' });
  assert.deepEqual(texts(), ['x']);
  // A machine that was set up anew counts from the beginning.
  machine.open[0].on.reset({ data: '{}', lastEventId: '3' });
  machine.open[0].on.message({ data: 'y', lastEventId: '4' });
  assert.deepEqual(texts(), ['x', 'y']);
  assert.equal(feed.hello(3).length, 1);
});

test('a tab that shows no messages needs none of before', () => {
  const { clock, machine, feed, texts } = world();
  for (let i = 0; i < 500; i++) machine.say(`old ${i}`);
  feed.hello(null);
  assert.equal(machine.open[0].url, '/live?lang=uk');
  machine.answer(machine.open[0]);
  machine.say('a');
  assert.deepEqual(texts(), ['a']);
  assert.deepEqual(feed.hello(null), []);
  // Its stream serves one that begins there, and starts over for one that does not.
  assert.deepEqual(feed.hello(500).map((m) => m.data), ['a']);
  assert.equal(machine.open.length, 1);
  feed.hello(499);
  assert.equal(machine.open[0].after, 499);
  // Broken before anything came, it still asks for nothing old.
  const quiet = world();
  quiet.feed.hello(null);
  quiet.machine.cut();
  quiet.clock.pass(2000);
  assert.equal(quiet.machine.open[0].url, '/live?lang=uk');
  assert.equal(clock.now, 0);
});
