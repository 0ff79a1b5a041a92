import test from 'node:test';
import assert from 'node:assert/strict';
import { Mailbox, bundleKind, receiptKind } from '../static/mailbox.js';
import { addressOf, keyOf } from '../static/chooser.js';
import { People } from '../static/people.js';
import { Own, announce, replyTags } from '../static/own.js';
import { newSecret, publicKey, verify, kinds, sign } from '../static/event.js';
import { rumor, wrap } from '../static/gift.js';
import { base64, hex } from '../static/bytes.js';
import { sha256 } from '../static/vendor/noble.js';

// A Shelf in memory that refuses when told.
class Shelf {
  m = { messages: new Map(), wraps: new Map(), outbox: new Map() };
  async all(s) { return structuredClone([...this.m[s].values()]); }
  async change(puts, deletes = {}) {
    for (const [s, l] of Object.entries(puts)) for (const v of l) this.m[s].set(v.id, structuredClone(v));
    for (const [s, l] of Object.entries(deletes)) for (const id of l) this.m[s].delete(id);
  }
}

const clock = { seconds: () => 1800000000 };
const settle = () => new Promise((r) => setImmediate(r));

// A Post carries wraps between mailboxes as the machine's relay does.
class Post {
  boxes = [];
  up = true;
  log = [];
  refuse = '';
  publish = async (e) => {
    if (!this.up) return { ok: false, again: true, why: '' };
    if (this.refuse) return { ok: false, again: false, why: this.refuse };
    this.log.push(e);
    for (const b of this.boxes) if (e.tags.some((t) => t[0] === 'p' && t[1] === b.me)) await b.take(e);
    return { ok: true };
  };
  box(secret = newSecret(), shelf = new Shelf()) {
    const b = new Mailbox({ secret, shelf, relay: this, clock });
    this.boxes.push(b);
    return b;
  }
}

test('a message is there once on both sides, and its receipt tells who opened it', async () => {
  const post = new Post();
  const [ana, ben] = [post.box(), post.box()];
  const m = await ana.write([ben.me], 'hello');
  await ana.flush();
  assert.equal(ana.messages.get(m.id).state, 'saved');
  assert.deepEqual(ben.thread(ana.me).map((x) => [x.rumor.content, x.opened]), [['hello', false]]);
  assert.equal(ben.unread(), 1);
  for (const e of post.log) await ben.take(e); // it comes again
  for (const e of post.log) await ana.take(e);
  assert.equal(ben.messages.size, 1);
  assert.equal(ana.messages.size, 1);
  await ben.open(ana.me, async () => true);
  await ben.flush();
  assert.equal(ben.unread(), 0);
  assert.deepEqual(ana.messages.get(m.id).acks, [ben.me]);
  const n = post.log.length;
  await ben.open(ana.me, async () => true);
  await ben.flush();
  assert.equal(post.log.length, n, 'one receipt only');
});

test('a receipt names 16 messages, and as many count as it has', async () => {
  const post = new Post();
  const ben = newSecret();
  const ana = post.box();
  const box = post.box(ben);
  const sent = [];
  for (let i = 0; i < 40; i++) sent.push(await ana.write([box.me], `no. ${i}`));
  await ana.flush();
  const before = post.log.length;
  await box.open(ana.me, async () => true);
  await box.flush();
  assert.equal(post.log.length - before, 3);
  assert.ok(sent.every((m) => ana.messages.get(m.id).acks.length === 1));

  const other = post.box();
  const many = [];
  for (let i = 0; i < 40; i++) many.push(await other.write([box.me], `no. ${i}`));
  await other.flush();
  const r = rumor({ kind: receiptKind, created_at: 1, tags: [['p', other.me], ...many.map((m) => ['e', m.id])], content: '' }, box.me);
  await other.take(wrap(r, ben, other.me, 1800000000));
  assert.ok(many.every((m) => other.messages.get(m.id).acks.length === 1));
});

test('somebody who is called nearly as another has his key beside his name', async () => {
  const people = ['Ana', 'Aná\u200b ', 'Ben'].map((name, i) => ({ key: String(i), npub: `npub1${String(i).repeat(58)}`, name, belongs: true }));
  const known = new People('/', async () => ({ ok: true, json: async () => ({ people }) }));
  await known.list();
  assert.deepEqual(people.map((p) => known.name(p.key)), ['Ana (000000…)', 'Aná\u200b  (111111…)', 'Ben']);
});

test('no receipt goes to somebody who does not belong', async () => {
  const post = new Post();
  const [eve, ben] = [post.box(), post.box()];
  await eve.write([ben.me], 'are you at home?');
  await eve.flush();
  const n = post.log.length;
  await ben.open(eve.me, async () => false);
  await ben.flush();
  assert.equal(ben.unread(), 0);
  assert.equal(post.log.length, n);
});

test('written without the machine, sent after a restart, once', async () => {
  const post = new Post();
  const ben = post.box();
  const secret = newSecret();
  const shelf = new Shelf();
  const before = post.box(secret, shelf);
  post.up = false;
  const m = await before.write([ben.me], 'later');
  await before.flush();
  assert.equal(before.messages.get(m.id).state, 'waiting');
  post.boxes = post.boxes.filter((b) => b !== before);
  const after = post.box(secret, shelf);
  await after.load();
  assert.equal(after.outbox.size, 2);
  post.up = true;
  await after.flush();
  await after.flush();
  await settle();
  assert.equal(after.messages.get(m.id).state, 'saved');
  assert.equal(ben.messages.size, 1);
  assert.equal(post.log.length, 2);
  assert.equal(shelf.m.outbox.size, 0);
});

test('what the machine refuses is failed, with its reason', async () => {
  const post = new Post();
  const ana = post.box();
  post.refuse = 'restricted: only for members';
  const m = await ana.write([publicKey(newSecret())], 'x');
  await ana.flush();
  assert.equal(ana.messages.get(m.id).state, 'failed');
  assert.equal(ana.fates(ana.messages.get(m.id))[0].why, post.refuse);
});

test('a receipt of somebody else proves nothing, and one may come before its message', async () => {
  const post = new Post();
  const [ana, ben] = [post.box(), post.box()];
  const eve = newSecret();
  const m = await ana.write([ben.me], 'hello');
  await ana.flush();
  const lie = rumor({ kind: receiptKind, created_at: 1, tags: [['p', ana.me], ['e', m.id]], content: '' }, publicKey(eve));
  await ana.take(wrap(lie, eve, ana.me, 1800000000));
  assert.deepEqual(ana.messages.get(m.id).acks, []);
});

test('hostile wraps are remembered and opened no more', async () => {
  const post = new Post();
  const ana = post.box();
  const bad = sign({ kind: kinds.wrap, created_at: 1, tags: [['p', ana.me]], content: 'x' }, newSecret());
  await ana.take(bad);
  assert.equal(ana.wraps.get(bad.id), false);
  assert.equal(ana.messages.size, 0);
  await assert.rejects(ana.write([ana.me], 'to myself'));
  await assert.rejects(ana.write(Array.from({ length: 11 }, () => publicKey(newSecret())), 'crowd'));
});

test('a file comes whole, in whatever order its parts do, or not at all', async () => {
  const post = new Post();
  const ben = post.box();
  const secret = newSecret();
  const bytes = Uint8Array.from({ length: 50000 }, (_, i) => i * 7);
  const sum = hex(sha256(bytes));
  const part = (i, content, said = sum) => rumor({ kind: bundleKind, created_at: 10 + i, content, tags: [['p', ben.me], ['bundle', said, String(i), '3', '50000'], ['name', '../map.pdf']] }, publicKey(secret));
  const cut = [0, 1, 2].map((i) => base64(bytes.subarray(i * 16667, (i + 1) * 16667)));
  const take = (r) => ben.take(wrap(r, secret, ben.me, 1800000000));
  await take(part(2, cut[2]));
  await take(part(0, cut[0]));
  const [m] = ben.messages.values();
  assert.equal(ben.bundle(m).bytes, null);
  await take(part(1, cut[1]));
  assert.deepEqual(ben.bundle(m).bytes, bytes);
  assert.equal(ben.bundle(m).first, ben.thread(publicKey(secret))[0].id);
  // Parts that are not what they say.
  const lie = 'f'.repeat(64);
  for (const i of [0, 1, 2]) await take(part(i, cut[i], lie));
  const lies = [...ben.messages.values()].filter((x) => x.rumor.tags[1][1] === lie);
  assert.equal(lies.length, 3);
  assert.equal(ben.bundle(lies[0]).bytes, null);
  for (const tag of [['bundle'], ['bundle', sum, '3', '3', '9'], ['bundle', sum, '0', '1', '65537'], ['bundle', sum, '0', '99', '5'], ['bundle', 'x', '0', '1', '5']]) {
    assert.equal(ben.bundle({ rumor: { kind: bundleKind, tags: [tag] } }), null, tag.join());
  }
});

test('groups are conversations of their own, and order is by date', async () => {
  const post = new Post();
  const [ana, ben, cem] = [post.box(), post.box(), post.box()];
  await ana.write([ben.me], 'two');
  await ana.write([cem.me, ben.me], 'three');
  await ana.flush();
  assert.equal(ben.conversations().length, 2);
  assert.deepEqual(ben.thread([ana.me, cem.me].sort().join(' ')).map((m) => m.rumor.content), ['three']);
  assert.equal(post.log.length, 5);
});

test('in a group everybody answers everybody, and what became of a message is told for each', async () => {
  const post = new Post();
  const [ana, ben, cem, eve] = [post.box(), post.box(), post.box(), post.box()];
  const all = [ben.me, cem.me, eve.me];
  const publish = post.publish;
  post.publish = (e) => (e.tags[0][1] === eve.me ? { ok: false, again: false, why: 'no pass' } : publish(e));
  post.up = false;
  const m = await ana.write(all, 'hello', { subject: 'the well' });
  await ana.flush();
  const states = () => Object.fromEntries(ana.fates(ana.messages.get(m.id)).map((f) => [f.key, f.why ?? f.state]));
  assert.deepEqual(states(), { [ben.me]: 'waiting', [cem.me]: 'waiting', [eve.me]: 'waiting' });
  post.up = true;
  await ana.flush();
  assert.deepEqual(states(), { [ben.me]: 'saved', [cem.me]: 'saved', [eve.me]: 'no pass' });
  const [there] = cem.conversations();
  assert.deepEqual(there.with.split(' '), [ana.me, ben.me, eve.me].sort());
  assert.equal(there.subject, 'the well');
  await ben.open([ana.me, cem.me, eve.me].sort().join(' '), async () => true);
  await ben.flush();
  assert.deepEqual(states(), { [ben.me]: 'opened', [cem.me]: 'saved', [eve.me]: 'no pass' });
  const answer = await cem.write(there.with.split(' '), 'yes', { subject: 'the well' });
  await cem.flush();
  assert.deepEqual(answer.rumor.tags.map((t) => t[0]), ['p', 'p', 'p'], 'an unchanged subject is not said again');
  for (const b of [ana, ben]) assert.deepEqual(b.thread(b.conversations()[0].with).map((x) => x.rumor.content).sort(), ['hello', 'yes']);
});

test('a message has at most ten readers and a subject of 200 bytes; the newest subject counts', async () => {
  const post = new Post();
  let now = 1800000000;
  const ana = new Mailbox({ secret: newSecret(), shelf: new Shelf(), relay: post, clock: { seconds: () => now++ } });
  const many = Array.from({ length: 11 }, () => publicKey(newSecret()));
  await assert.rejects(ana.write(many, 'x'), /recipients/);
  await assert.rejects(ana.write(many.slice(1), 'x', { subject: 'é'.repeat(101) }), /subject/);
  const m = await ana.write(many.slice(1), 'x', { subject: 'old' });
  await ana.write(many.slice(1), 'y', { subject: 'new' });
  assert.equal(ana.subject(m.with), 'new');
  assert.equal(ana.conversations().length, 1);
});

test('the address of a conversation names everybody in it', () => {
  const keys = [publicKey(newSecret()), publicKey(newSecret())];
  const said = new URLSearchParams(addressOf(keys, 'food & water'));
  assert.deepEqual(said.get('to').split(',').map(keyOf), keys);
  assert.equal(said.get('subject'), 'food & water');
  assert.equal(addressOf(keys).includes('subject'), false);
  assert.equal(keyOf('npub1nobody'), '');
  assert.equal(keyOf(keys[0].toUpperCase()), keys[0]);
});

class Storage {
  m = new Map();
  getItem(k) { return this.m.get(k) ?? null; }
  setItem(k, v) { this.m.set(k, v); }
  removeItem(k) { this.m.delete(k); }
}

test('the own key is made once, shown and taken only where nobody listens', () => {
  const own = new Own(new Storage());
  assert.equal(own.secret(), null);
  assert.equal(own.npub(), null);
  own.make();
  const npub = own.npub();
  own.make();
  assert.equal(own.npub(), npub);
  assert.throws(() => own.show(false), /insecure/);
  assert.throws(() => own.take(own.show(true), false), /insecure/);
  const nsec = own.show(true);
  own.forget();
  assert.equal(own.secret(), null);
  own.take(` ${nsec}\n`, true);
  assert.equal(own.npub(), npub);
  assert.throws(() => own.take(nsec.slice(0, -1), true));
});

test('a profile is signed anew and newer each time, and is asked about nothing else', async () => {
  const own = new Own(new Storage());
  own.make();
  const a = own.rename('  Ana\u202e\n  ', 100);
  const b = own.rename('x'.repeat(50), 50);
  assert.ok(verify(a) && verify(b) && b.created_at > a.created_at);
  assert.equal(JSON.parse(a.content).name, 'Ana');
  assert.equal(own.name().length, 32);
  const seen = [];
  assert.ok(!own.announced());
  const ok = await announce(own, async (url, o) => { seen.push(JSON.parse(o.body).id); return new Response('{"id":"x"}', { status: 202 }); });
  assert.ok(ok.ok && own.announced());
  assert.deepEqual(seen, [b.id]);
  assert.deepEqual(await announce(own, async () => { throw new TypeError(); }), { ok: false });
});

test('an answer names root, parent and author', () => {
  const root = { id: 'a', pubkey: 'p', tags: [] };
  assert.deepEqual(replyTags(root), [['e', 'a', '', 'root'], ['p', 'p']]);
  assert.deepEqual(replyTags({ id: 'b', pubkey: 'q', tags: replyTags(root) }), [['e', 'a', '', 'root'], ['e', 'b', '', 'reply'], ['p', 'q']]);
  assert.deepEqual(replyTags(undefined), []);
});
