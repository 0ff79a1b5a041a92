// What time it is at the machine: a phone without a network may believe
// anything, and what it signs carries a date.

// A Clock corrects this device's clock by the machine's.
export class Clock {
  constructor(now = Date.now) {
    this.now = now;
    this.offset = 0; // ms to add
    this.known = false;
  }

  // observe learns from a Date header, which has whole seconds, of an answer
  // that was asked for at sent and came at got (ms of this device).
  observe(header, sent, got = this.now()) {
    const theirs = Date.parse(header ?? '');
    if (Number.isNaN(theirs) || got < sent || got - sent > 10000) return false;
    const offset = theirs + 500 - (sent + got) / 2;
    this.known = true;
    // Less than the header can tell is no difference.
    this.offset = Math.abs(offset) < 2000 ? 0 : Math.round(offset);
    return true;
  }

  // seconds is the machine's time, for dates of events.
  seconds() {
    return Math.floor((this.now() + this.offset) / 1000);
  }

  // wrong says by how many minutes this device's clock differs, where that
  // matters; ahead is positive.
  wrong() {
    return Math.abs(this.offset) < 90000 ? 0 : Math.round(-this.offset / 60000);
  }

  // ask learns from the machine itself. It must not come from a cache.
  async ask(fetcher = fetch) {
    const sent = this.now();
    try {
      const r = await fetcher('/healthz', { cache: 'no-store' });
      return this.observe(r.headers.get('Date'), sent);
    } catch {
      return false;
    }
  }
}
