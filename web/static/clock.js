// What time it is at the machine: a phone without a network may believe
// anything, and what it signs carries a date.

// A Clock corrects this device's clock by the machine's.
export class Clock {
  constructor(now = Date.now) {
    this.now = now;
    this.offset = 0; // ms to add
    this.known = false;
  }

  // hear learns from what the machine says it is, in ms, at this moment of this
  // device.
  hear(theirs, here = this.now()) {
    if (!Number.isFinite(theirs) || theirs <= 0) return false;
    const offset = theirs - here;
    this.known = true;
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
}
