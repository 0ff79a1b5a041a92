// The machine's own Nostr relay, spoken to as any Nostr app does (NIP-01, 42).
import { kinds, sign } from './event.js';

const patience = 15000; // ms until an event without an answer counts as not taken

export const relayURL = () => `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/`;

// A Relay keeps one connection open, shows the key, and asks its questions anew
// after every break.
export class Relay {
  // changed(up) is told when the key was accepted and when the line is lost.
  constructor({ url, secret, clock, changed = () => {}, open = (u) => new WebSocket(u) }) {
    Object.assign(this, { url, secret, clock, changed, open });
    this.ws = null;
    this.up = false;
    this.tries = 0;
    this.timer = null;
    this.stopped = true;
    this.count = 0;
    this.questions = new Map(); // by subscription: {filters, event, done}
    this.answers = new Map(); // by event id: resolve
  }

  start() {
    this.stopped = false;
    this.connect();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    this.ws?.close();
    this.lost(this.ws);
  }

  wake() {
    if (!this.stopped && !this.ws) this.connect();
  }

  connect() {
    clearTimeout(this.timer);
    const ws = this.open(this.url);
    this.ws = ws;
    ws.onmessage = ({ data }) => {
      if (this.ws === ws) this.hear(data);
    };
    ws.onclose = () => this.lost(ws);
    ws.onerror = () => this.lost(ws);
  }

  lost(ws) {
    if (this.ws !== ws || ws === null) return;
    this.ws = null;
    for (const answer of this.answers.values()) answer({ ok: false, again: true, why: '' });
    this.answers.clear();
    if (this.up) {
      this.up = false;
      this.changed(false);
    }
    if (this.stopped) return;
    this.timer = setTimeout(() => this.connect(), Math.min(30000, 1000 * 2 ** this.tries) * (0.5 + Math.random()));
    this.tries++;
  }

  say(...message) {
    this.ws?.send(JSON.stringify(message));
  }

  hear(data) {
    let m;
    try {
      m = JSON.parse(data);
    } catch {
      return;
    }
    switch (m[0]) {
      case 'AUTH':
        this.authenticate(m[1]);
        return;
      case 'OK':
        this.answers.get(m[1])?.({ ok: m[2] === true, again: /^(rate-limited|error):/.test(m[3] ?? ''), why: m[3] ?? '' });
        this.answers.delete(m[1]);
        return;
      case 'EVENT':
        this.questions.get(m[1])?.event(m[2]);
        return;
      case 'EOSE':
        this.questions.get(m[1])?.done();
        return;
      case 'CLOSED':
        this.questions.get(m[1])?.refused?.(m[2] ?? '');
        this.questions.delete(m[1]);
    }
  }

  async authenticate(challenge) {
    const e = sign({ kind: kinds.auth, created_at: this.clock.seconds(), tags: [['relay', this.url], ['challenge', challenge]], content: '' }, this.secret);
    const answer = this.wait(e.id);
    this.say('AUTH', e);
    const { ok } = await answer;
    if (!ok || !this.ws) return;
    this.tries = 0;
    this.up = true;
    for (const [name, q] of this.questions) this.say('REQ', name, ...q.filters);
    this.changed(true);
  }

  wait(id) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.answers.delete(id);
        resolve({ ok: false, again: true, why: '' });
      }, patience);
      this.answers.set(id, (a) => {
        clearTimeout(timer);
        resolve(a);
      });
    });
  }

  // publish answers {ok, again, why}; again says that a later try may do.
  publish(e) {
    if (!this.up) return Promise.resolve({ ok: false, again: true, why: '' });
    const answer = this.wait(e.id);
    this.say('EVENT', e);
    return answer;
  }

  // ask begins a subscription; the returned function ends it.
  ask(filters, event, done = () => {}, refused = () => {}) {
    const name = `q${++this.count}`;
    this.questions.set(name, { filters, event, done, refused });
    if (this.up) this.say('REQ', name, ...filters);
    return () => {
      if (this.questions.delete(name) && this.up) this.say('CLOSE', name);
    };
  }
}
