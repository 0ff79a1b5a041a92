// Private messages as this browser has them: what came, what was written, what
// was read and acknowledged. A message is named by its rumor's id, so it shows
// once however often it comes.
import { kinds, publicKey, tagValues } from './event.js';
import { rumor, unwrap, wrap, wrapAll } from './gift.js';
import { byteLength, concat, hex, unbase64 } from './bytes.js';
import { sha256 } from './vendor/noble.js';

export const receiptKind = 3743; // see docs/PROTOCOL.md, private messages
export const bundleKind = 3745;
export const stores = ['messages', 'wraps', 'outbox'];

const receiptMost = 16; // messages that one receipt names, as with nodes
export const recipientsMost = 10; // as nostrbridge/mail has it
export const subjectMost = 200; // bytes
const bundleMost = 64 * 1024; // bytes of a file

// A Mailbox needs a shelf (see Shelf) and a relay with publish(event).
export class Mailbox {
  constructor({ secret, shelf, relay, clock, changed = () => {} }) {
    Object.assign(this, { secret, shelf, relay, clock, changed });
    this.me = publicKey(secret);
    this.messages = new Map(); // by rumor id
    this.wraps = new Map(); // by event id: whether it opened
    this.outbox = new Map(); // by event id: {id, event, message, own}
    this.early = new Map(); // receipts of messages that are not here yet: id to keys
    this.sending = null;
    this.turn = Promise.resolve();
  }

  async load() {
    for (const m of await this.shelf.all('messages')) this.messages.set(m.id, m);
    for (const w of await this.shelf.all('wraps')) this.wraps.set(w.id, w.ok);
    for (const o of await this.shelf.all('outbox')) this.outbox.set(o.id, o);
    this.changed();
  }

  // take opens a wrap that came, one after the other.
  take(event) {
    // One that cannot be kept comes again with the next visit.
    this.turn = this.turn.then(() => this.takeNow(event)).catch(() => {});
    return this.turn;
  }

  async takeNow(event) {
    if (this.wraps.has(event.id)) return;
    let r;
    try {
      r = unwrap(event, this.secret);
    } catch {
      await this.seen(event.id, false);
      return;
    }
    switch (r.kind) {
      case kinds.privateNote:
      case kinds.privateFile:
      case bundleKind:
        await this.keep(r, event.id);
        return;
      case receiptKind:
        await this.acknowledge(r, event.id);
        return;
    }
    await this.seen(event.id, false);
  }

  async seen(id, ok) {
    this.wraps.set(id, ok);
    await this.shelf.change({ wraps: [{ id, ok }] });
  }

  async keep(r, wrapID) {
    this.wraps.set(wrapID, true);
    const known = this.messages.get(r.id);
    if (known) {
      // Our own copy proves that the machine has it.
      await this.shelf.change({ wraps: [{ id: wrapID, ok: true }] });
      return;
    }
    const mine = r.pubkey === this.me;
    const m = { id: r.id, rumor: r, with: partners(r, this.me), mine, opened: mine, receipt: mine, state: 'saved', acks: this.early.get(r.id) ?? [], came: this.clock.seconds() };
    this.messages.set(m.id, m);
    await this.shelf.change({ messages: [m], wraps: [{ id: wrapID, ok: true }] });
    this.changed(m);
  }

  async acknowledge(r, wrapID) {
    this.wraps.set(wrapID, true);
    const touched = [];
    for (const id of tagValues(r, 'e')) {
      const m = this.messages.get(id);
      if (!m) {
        if (this.early.size < 1000) this.early.set(id, [...(this.early.get(id) ?? []), r.pubkey]);
        continue;
      }
      // Only whom it was for can have opened it.
      if (!m.mine || !tagValues(m.rumor, 'p').includes(r.pubkey) || m.acks.includes(r.pubkey)) continue;
      m.acks = [...m.acks, r.pubkey];
      touched.push(m);
    }
    await this.shelf.change({ messages: touched, wraps: [{ id: wrapID, ok: true }] });
    if (touched.length) this.changed();
  }

  // write seals a message for others, keeps it, and sends it as soon as it can.
  // A subject is said again only where it changes what the conversation is about.
  async write(to, text, { reply, subject = '' } = {}) {
    const others = [...new Set(to)].filter((p) => p !== this.me);
    if (others.length === 0 || others.length > recipientsMost) throw new Error('recipients');
    if (byteLength(subject) > subjectMost) throw new Error('subject');
    const tags = others.map((p) => ['p', p]);
    if (subject && subject !== this.subject(partners({ pubkey: this.me, tags }, this.me))) tags.push(['subject', subject]);
    if (reply) tags.push(['e', reply]);
    const r = rumor({ kind: kinds.privateNote, created_at: this.clock.seconds(), tags, content: text }, this.me);
    const events = wrapAll(r, this.secret, this.clock.seconds());
    const m = { id: r.id, rumor: r, with: partners(r, this.me), mine: true, opened: true, receipt: true, state: 'waiting', acks: [], came: this.clock.seconds() };
    const outbox = events.map((event, i) => ({ id: event.id, event, message: m.id, own: i === events.length - 1 }));
    await this.shelf.change({ messages: [m], outbox });
    this.messages.set(m.id, m);
    for (const o of outbox) this.outbox.set(o.id, o);
    this.changed(m);
    this.flush();
    return m;
  }

  // flush sends what waits, until the machine cannot be reached.
  flush() {
    this.sending ??= this.send().finally(() => {
      this.sending = null;
    });
    return this.sending;
  }

  async send() {
    for (;;) {
      const [o] = this.outbox.values();
      if (!o) return;
      const answer = await this.relay.publish(o.event);
      if (!answer.ok && answer.again) return;
      this.outbox.delete(o.id);
      const m = this.messages.get(o.message);
      if (!m) {
        await this.shelf.change({}, { outbox: [o.id] }); // a receipt
        continue;
      }
      if (!answer.ok && !o.own) m.refused = { ...m.refused, [readerOf(o)]: answer.why };
      const states = this.fates(m).map((f) => f.state);
      if (!states.includes('waiting')) m.state = states.every((f) => f === 'failed') ? 'failed' : 'saved';
      await this.shelf.change({ messages: [m] }, { outbox: [o.id] });
      this.changed();
    }
  }

  // fates tells what became of one's own message for each reader: {key, state,
  // why}, where state is 'opened', 'failed', 'waiting' or 'saved'.
  fates(m) {
    const waits = new Set([...this.outbox.values()].filter((o) => o.message === m.id).map(readerOf));
    return m.with.split(' ').map((key) => {
      const why = m.refused?.[key];
      return { key, why, state: m.acks.includes(key) ? 'opened' : why !== undefined ? 'failed' : waits.has(key) ? 'waiting' : 'saved' };
    });
  }

  // open notes that somebody looks at a conversation. Belongs(pubkey) tells for
  // whom a receipt may be sealed: others would learn that somebody is here.
  async open(conversation, belongs) {
    const fresh = [...this.messages.values()].filter((m) => m.with === conversation && !m.mine && (!m.opened || !m.receipt));
    if (fresh.length === 0) return;
    const bySender = new Map();
    for (const m of fresh) {
      m.opened = true;
      if (m.receipt) continue;
      bySender.set(m.rumor.pubkey, [...(bySender.get(m.rumor.pubkey) ?? []), m]);
    }
    const outbox = [];
    for (const [sender, list] of bySender) {
      if (!(await belongs(sender))) continue;
      for (let i = 0; i < list.length; i += receiptMost) {
        const part = list.slice(i, i + receiptMost);
        const r = rumor({ kind: receiptKind, created_at: this.clock.seconds(), tags: [['p', sender], ...part.map((m) => ['e', m.id])], content: '' }, this.me);
        const event = wrap(r, this.secret, sender, this.clock.seconds());
        outbox.push({ id: event.id, event, message: '', own: false });
        for (const m of part) m.receipt = true;
      }
    }
    await this.shelf.change({ messages: fresh, outbox });
    for (const o of outbox) this.outbox.set(o.id, o);
    this.changed();
    this.flush();
  }

  // conversations lists who was spoken with, and about what, the latest first.
  conversations() {
    const all = new Map();
    for (const m of this.messages.values()) {
      const c = all.get(m.with) ?? { with: m.with, last: m, unread: 0, subject: '', named: null };
      if (order(m, c.last) > 0) c.last = m;
      const subject = tagValues(m.rumor, 'subject')[0]?.trim();
      if (subject && (!c.named || order(m, c.named) > 0)) Object.assign(c, { subject, named: m });
      if (!m.opened) c.unread++;
      all.set(m.with, c);
    }
    return [...all.values()].sort((a, b) => order(b.last, a.last));
  }

  // subject is what the latest word on it says the conversation is about, or ''.
  subject(conversation) {
    return this.conversations().find((c) => c.with === conversation)?.subject ?? '';
  }

  thread(conversation) {
    return [...this.messages.values()].filter((m) => m.with === conversation).sort(order);
  }

  // bundle gathers the parts of a file that m is one of: {name, media, size,
  // first, bytes}; bytes is null until all are here and are what they say.
  bundle(m) {
    const said = bundleTag(m.rumor);
    if (!said) return null;
    const parts = new Map();
    for (const x of this.messages.values()) {
      const t = x.rumor.pubkey === m.rumor.pubkey && x.with === m.with ? bundleTag(x.rumor) : null;
      if (t && t.sum === said.sum && t.parts === said.parts && t.size === said.size && !parts.has(t.part)) parts.set(t.part, x);
    }
    const first = parts.get(Math.min(...parts.keys()));
    const tag = (name) => m.rumor.tags.find((t) => t[0] === name)?.[1] ?? '';
    return { name: tag('name'), media: tag('m'), size: said.size, first: first.id, bytes: parts.size === said.parts ? whole(said, parts) : null };
  }

  unread() {
    let n = 0;
    for (const m of this.messages.values()) if (!m.opened) n++;
    return n;
  }
}

// readerOf is for whom a wrap of the outbox is sealed.
const readerOf = (o) => tagValues(o.event, 'p')[0];

// order is by date; a date in the future counts as when it came.
const order = (a, b) => Math.min(a.rumor.created_at, a.came) - Math.min(b.rumor.created_at, b.came) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

// bundleTag reads ["bundle", sum, part, parts, size]; null where it is none.
function bundleTag(r) {
  if (r.kind !== bundleKind) return null;
  const [, sum, ...numbers] = r.tags.find((t) => t[0] === 'bundle') ?? [];
  const [part, parts, size] = numbers.map(Number);
  const ok = /^[0-9a-f]{64}$/.test(sum ?? '') && [part, parts, size].every(Number.isInteger) && part >= 0 && part < parts && parts <= 64 && size > 0 && size <= bundleMost;
  return ok ? { sum, part, parts, size } : null;
}

// whole joins the parts of a file; null where they are not what was said.
function whole(said, parts) {
  try {
    const bytes = concat(...Array.from({ length: said.parts }, (_, i) => unbase64(parts.get(i).rumor.content)));
    return bytes.length === said.size && hex(sha256(bytes)) === said.sum ? bytes : null;
  } catch {
    return null;
  }
}

// partners names a conversation: everybody in it but oneself, sorted.
export function partners(r, me) {
  const all = new Set([r.pubkey, ...tagValues(r, 'p').filter((p) => /^[0-9a-f]{64}$/.test(p))]);
  all.delete(me);
  return all.size ? [...all].sort().join(' ') : me;
}
