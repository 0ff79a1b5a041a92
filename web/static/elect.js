// Which of a browser's tabs holds the stream, where no shared worker can. Tabs
// ask and answer by messages: the timers of hidden tabs stand almost still.
//
//	        asks, nobody answers              a lower id leads too
//	following ──────────────────▶ leading ──────────────────▶ following

const patience = 400; // ms that a leader has to answer a newcomer
const lateness = 2500; // … and whoever asks whether it is still there
const rounds = 10000; // ms between a leader's signs of life

export class Election {
  // post(message) reaches the other tabs; lead() and follow() are called when
  // this tab takes the stream and when it hands it over.
  constructor({ id, post, lead, follow, later = (f, ms) => setTimeout(f, ms), never = (t) => clearTimeout(t), random = Math.random }) {
    Object.assign(this, { id, post, lead, follow, later, never, random });
    this.leading = false;
    this.leader = null;
    this.timer = null;
  }

  start() {
    this.ask(patience * (0.5 + this.random() / 2));
  }

  ask(wait) {
    this.never(this.timer);
    this.leader = null;
    this.timer = this.later(() => this.take(), wait);
    this.post({ type: 'who', id: this.id });
  }

  take() {
    this.leading = true;
    this.leader = this.id;
    this.announce();
    this.lead();
  }

  // announce also finds out whether another leads, as when a phone froze this
  // tab for a while.
  announce() {
    this.timer = this.later(() => this.announce(), rounds);
    this.post({ type: 'lead', id: this.id });
  }

  hear(m) {
    switch (m.type) {
      case 'who':
        if (this.leading) this.post({ type: 'lead', id: this.id });
        return;
      case 'lead':
        if (this.leading && this.id < m.id) {
          this.post({ type: 'lead', id: this.id }); // the other is to yield
          return;
        }
        if (this.leading) {
          this.leading = false;
          this.follow();
        }
        this.leader = m.id;
        this.never(this.timer);
        this.timer = this.later(() => this.ask(lateness), 1.5 * rounds);
        return;
      case 'left':
        if (m.id === this.leader) this.ask(patience * this.random());
    }
  }

  stop() {
    this.never(this.timer);
    if (this.leading) {
      this.leading = false;
      this.follow();
      this.post({ type: 'left', id: this.id });
    }
  }
}
