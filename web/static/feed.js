// The one live stream of a browser, whichever tab or worker holds it. Pure but
// for what it is given.

const held = 300; // events kept for tabs that come later
const fresh = 25000; // ms within which the machine says something, be it that it is there

// A Feed keeps a stream of server-sent events open and starts over after
// whatever happens, from where it was.
export class Feed {
  // lang is the tabs' language: the cookie may have another tab's by now.
  // open(url) makes an EventSource. tell(message) reaches every tab:
  // {type: 'event', name, seq, data} or {type: 'state', up}.
  constructor({ lang, open, tell, now = Date.now, later = (f, ms) => setTimeout(f, ms), never = (t) => clearTimeout(t), random = Math.random, silence = 45000 }) {
    Object.assign(this, { lang, open, tell, now, later, never, random, silence });
    this.seq = null; // of the newest event that came; null: none is known
    this.from = Infinity; // the stream is whole after this one
    this.ring = [];
    this.up = false;
    this.source = null;
    this.tries = 0;
    this.timer = null;
    this.watch = null;
  }

  // hello tells what a tab has not seen that shows everything up to seq; null
  // wants only what comes from now on.
  hello(seq) {
    if (this.source === null && this.timer === null) {
      this.seq = seq;
      this.from = seq ?? Infinity;
      this.connect();
      return [];
    }
    if (seq === null) return [];
    if (seq >= this.from) return this.ring.filter((m) => m.seq > seq);
    // The tab is older than what is kept: everybody hears it again, and knows
    // what he has.
    this.from = this.seq = seq;
    this.ring = [];
    this.connect();
    return [];
  }

  connect() {
    this.drop();
    const s = this.open(`/live?lang=${this.lang}${this.seq === null ? '' : `&after=${this.seq}`}`);
    this.source = s;
    const mine = (f) => (e) => {
      if (this.source === s) f(e);
    };
    s.onopen = mine(() => {
      this.tries = 0;
      this.heard();
      this.up = true;
      this.tell({ type: 'state', up: true });
    });
    s.onerror = mine(() => this.failed());
    for (const name of ['message', 'delivery', 'count', 'alive', 'reset']) {
      s.addEventListener(name, mine((e) => this.take(name, e)));
    }
    this.heard();
  }

  take(name, e) {
    this.heard();
    const m = { type: 'event', name, seq: 0, data: e.data };
    const seq = Number(e.lastEventId);
    if (name === 'reset') {
      // Too much was missed, or the machine counts anew.
      m.seq = this.seq = this.from = seq;
      this.ring = [];
    }
    if (name === 'message') {
      if (!Number.isSafeInteger(seq) || (this.seq !== null && seq <= this.seq)) return; // heard before
      if (this.seq === null) this.from = seq - 1;
      m.seq = this.seq = seq;
      this.ring.push(m);
      if (this.ring.length > held) this.from = this.ring.shift().seq;
    }
    this.tell(m);
  }

  // heard puts off the moment at which silence means a dead line.
  heard() {
    this.last = this.now();
    this.never(this.watch);
    this.watch = this.later(() => this.failed(), this.silence);
  }

  failed() {
    this.drop();
    this.up = false;
    this.tell({ type: 'state', up: false });
    const pause = Math.min(30000, 1000 * 2 ** this.tries) * (0.5 + this.random());
    this.tries++;
    this.timer = this.later(() => this.connect(), pause);
  }

  // wake tries at once, as when the network is back (again is set: the old line
  // may be dead without saying so) or somebody looks once more.
  wake(again = false) {
    if (this.source === null && this.timer === null) return;
    if (this.timer !== null || again || this.now() - this.last > fresh) this.connect();
    else if (this.up) this.tell({ type: 'state', up: true });
  }

  drop() {
    this.never(this.watch);
    this.never(this.timer);
    this.timer = this.watch = null;
    this.source?.close();
    this.source = null;
  }

  close() {
    this.drop();
    this.up = false;
  }
}
