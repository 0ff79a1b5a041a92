// Whom a conversation is begun with: one person, or several of a group.
import { bech32, byteLength, hex, unbech32, unhex } from './bytes.js';
import { el } from './dom.js';
import { recipientsMost, subjectMost } from './mailbox.js';
import { say } from './words.js';

// A Chooser serves the form of names, boxes to tick, and a subject.
export class Chooser {
  // go(keys, subject) is called with the keys of everybody chosen.
  constructor(form, { people, own, go }) {
    Object.assign(this, { form, people, own, go });
    this.said = form.querySelector('[data-private-to-said]');
    this.list = form.querySelector('[data-private-choices]');
    form.addEventListener('submit', (e) => this.submit(e));
    form.addEventListener('input', () => this.need());
  }

  // fill offers everybody who can be written to.
  async fill() {
    const all = (await this.people.list()).filter((p) => p.key !== this.own());
    this.form.querySelector('datalist').replaceChildren(...all.map((p) => el('option', { value: p.name }, p.npub)));
    this.list.replaceChildren(...all.map((p) => el('li', {}, el('label', { class: 'check' },
      el('input', { type: 'checkbox', name: 'key', value: p.key }), el('bdi', {}, this.people.distinct(p))))));
    this.form.querySelector('details').hidden = all.length === 0;
  }

  ticked() {
    return [...this.list.querySelectorAll('input:checked')].map((i) => i.value);
  }

  need() {
    this.said.textContent = '';
    this.form.elements.to.required = this.ticked().length === 0;
  }

  // find returns the key of a name or an npub; '' where that is not clear, which
  // is told.
  async find(text) {
    const key = keyOf(text.replace(/^nostr:/i, ''));
    if (key) return key;
    const found = (await this.people.list()).filter((p) => p.name.toLowerCase() === text.toLowerCase() && p.key !== this.own());
    if (found.length === 1) return found[0].key;
    this.said.textContent = say(found.length ? 'js.to-several' : 'js.to-nobody', { name: text });
    return '';
  }

  async submit(e) {
    e.preventDefault();
    const { to, subject } = this.form.elements;
    const whole = to.value.trim();
    this.said.textContent = '';
    const known = (await this.people.list()).some((p) => p.name.toLowerCase() === whole.toLowerCase());
    const keys = this.ticked();
    for (const text of (known ? [whole] : whole.split(',')).map((t) => t.trim()).filter(Boolean)) {
      const key = await this.find(text);
      if (!key) return;
      keys.push(key);
    }
    const all = [...new Set(keys)];
    if (all.includes(this.own())) this.said.textContent = say('js.to-self');
    else if (all.length > recipientsMost) this.said.textContent = say('js.to-many', { n: recipientsMost });
    else if (byteLength(subject.value) > subjectMost) this.said.textContent = say('js.subject-long');
    else if (all.length) {
      const about = subject.value.trim();
      this.form.reset();
      this.need();
      this.go(all, about);
    }
  }
}

// keyOf reads an npub or 64 hexadecimal digits; '' where it is neither.
export function keyOf(text) {
  try {
    return /^[0-9a-f]{64}$/i.test(text) ? text.toLowerCase() : hex(unbech32('npub', text));
  } catch {
    return '';
  }
}

// addressOf is where a conversation is: #to=npub1…,npub1…&subject=…
export const addressOf = (keys, subject = '') => `to=${keys.map((k) => bech32('npub', unhex(k))).join(',')}${subject && `&${new URLSearchParams({ subject })}`}`;
