// What was written and is not on the machine yet. Every entry stands in the
// browser's storage under a key of its own before it is sent, and is sent as
// often as it takes; its Idempotency-Key, or its own id where it is signed
// here, makes it one message however often that is. Pure but for what it is
// given.

const prefix = 'drey.queue.';
const most = 200; // entries; more are refused, nothing is dropped

// Entry: {key, topic, text, name, replyTo, urgent, at, event?, state, why?, next?}
// state is waiting or failed.

export class Queue {
  // send(entry) answers {id}, {retry: ms or 0, why} or {refused: why}.
  constructor({ storage, send, now = Date.now, later = (f, ms) => setTimeout(f, ms), never = (t) => clearTimeout(t), random = Math.random, changed = () => {} }) {
    Object.assign(this, { storage, send, now, later, never, random, changed });
    this.busy = null;
    this.tries = 0;
    this.timer = null;
  }

  // add keeps an entry. It throws where the browser has no room.
  add(entry) {
    if (this.all().length >= most) throw new Error('full');
    const e = { at: this.now(), state: 'waiting', ...entry };
    this.storage.setItem(prefix + e.key, JSON.stringify(e));
    this.changed();
    return e;
  }

  all() {
    const list = [];
    for (let i = 0; i < this.storage.length; i++) {
      const k = this.storage.key(i);
      if (!k || !k.startsWith(prefix)) continue;
      try {
        const e = JSON.parse(this.storage.getItem(k));
        if (e && e.key && typeof e.text === 'string') list.push(e);
      } catch {
        // Somebody else's, or half of one: it is not ours to send.
      }
    }
    return list.sort((a, b) => a.at - b.at || (a.key < b.key ? -1 : 1));
  }

  remove(key) {
    this.storage.removeItem(prefix + key);
    this.changed();
  }

  update(e) {
    // Another tab may have sent it meanwhile: what is gone stays gone.
    if (this.storage.getItem(prefix + e.key) === null) return;
    this.storage.setItem(prefix + e.key, JSON.stringify(e));
    this.changed();
  }

  // again gives a refused entry another chance.
  again(key) {
    const e = this.all().find((x) => x.key === key);
    if (!e) return undefined;
    delete e.why;
    this.update({ ...e, state: 'waiting' });
    return this.flush();
  }

  // flush sends what waits, in order, until the machine cannot be reached. It
  // returns when there is nothing more to do now.
  flush() {
    this.never(this.timer);
    this.timer = null;
    this.busy ??= this.run().finally(() => {
      this.busy = null;
    });
    return this.busy;
  }

  async run() {
    for (;;) {
      const e = this.all().find((x) => x.state === 'waiting');
      if (!e) {
        this.tries = 0;
        return;
      }
      const answer = await this.send(e);
      this.reached?.(Boolean(answer.id || answer.refused || answer.retry || answer.why));
      if (answer.id) {
        this.tries = 0;
        this.sent?.(e, answer.id);
        this.remove(e.key);
        continue;
      }
      if (answer.refused) {
        this.update({ ...e, state: 'failed', why: answer.refused });
        continue;
      }
      const pause = answer.retry || Math.min(30000, 1000 * 2 ** this.tries) * (0.75 + this.random() / 2);
      this.tries++;
      this.update({ ...e, why: answer.why });
      this.timer = this.later(() => this.flush(), pause);
      return;
    }
  }
}

// newKey draws an Idempotency-Key that the machine takes from any address.
export function newKey() {
  return `page-${[...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('')}`;
}

// sender posts entries over HTTP. Fault tells a problem of the API in words.
export function sender({ fetcher = fetch, fault, patience = 15000 }) {
  return async (e) => {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), patience);
    let r;
    let body;
    try {
      r = await fetcher(e.event ? '/v1/events' : `/v1/topics/${e.topic}/messages`, {
        method: 'POST',
        keepalive: e.text.length < 16000, // so that it survives the tab
        signal: stop.signal,
        headers: { 'Content-Type': 'application/json', Accept: 'application/json', 'Idempotency-Key': e.key },
        body: JSON.stringify(e.event ?? { text: e.text, name: e.name || undefined, reply_to: e.replyTo || undefined, urgent: e.urgent || undefined }),
      });
      body = await r.json().catch(() => ({}));
    } catch {
      return { retry: 0, why: '' };
    } finally {
      clearTimeout(timer);
    }
    if (r.ok && typeof body.id === 'string') return { id: body.id };
    const problem = body.error ?? { code: String(r.status) };
    if (r.status === 429 && problem.code === 'too-fast') return { retry: 1000 * (Number(r.headers.get('Retry-After')) || 5), why: fault(problem) };
    if (r.status >= 500 || r.ok) return { retry: 0, why: fault(problem) };
    return { refused: fault(problem) };
  };
}
