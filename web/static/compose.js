// Writing: nothing typed is lost, what cannot be sent waits in the list, and the
// visitor sees beforehand what fits.
import { byteLength } from './bytes.js';
import { clock as time, el } from './dom.js';
import { newKey } from './queue.js';
import { kept, listen, queue, wake } from './outbox.js';
import { say } from './words.js';

const draftAfter = 200; // ms of quiet until a draft is kept
const previewAfter = 350; // … until the machine is asked what a text costs
const longestLaidOut = 16 * 1024; // letters whose direction the browser finds
const longestDraft = 256 * 1024; // letters
const longestEvent = 64 * 1024; // bytes; more fits nowhere
const surelyFits = 1000; // bytes; less is sent without asking what fits

const guestName = 'drey.name';
const signName = 'drey.sign'; // "no": the visitor has a key and does not want to sign here

// begin serves a form.
export function begin(form, page) {
  const { topic } = form.dataset;
  const text = form.elements.text;
  const name = form.elements.name;
  const list = document.querySelector('ol.messages[data-live]') ?? ownList(form);
  const preview = new Preview(form, topic);
  const signing = name ? new Signing(form, page) : null;

  if (name && !name.value) name.value = read(guestName);
  name?.addEventListener('change', () => write(guestName, name.value.trim()));
  keepDraft(text, `drey.draft.${topic}`);
  preview.show(text.value);
  text.addEventListener('input', () => {
    // A megabyte whose direction is to be found takes chromium half a minute.
    text.dir = text.value.length > longestLaidOut ? document.documentElement.dir : 'auto';
    preview.show(text.value);
  });
  form.querySelector('button[name=preview]')?.remove();

  text.addEventListener('keydown', (e) => {
    if (e.key !== 'Enter' || e.isComposing || e.shiftKey || e.altKey) return;
    if (e.ctrlKey || e.metaKey || matchMedia('(hover: hover) and (pointer: fine)').matches) {
      e.preventDefault();
      form.requestSubmit();
    }
  });

  let sending = false; // a second Enter while the first is looked at sends nothing
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    if (sending) return;
    sending = true;
    submit().finally(() => {
      sending = false;
    });
  });

  const submit = async () => {
    const value = text.value.replace(/\r\n/g, '\n');
    const bytes = byteLength(value);
    if (bytes > surelyFits) await preview.ask(bytes); // what cannot go is told before it leaves the form
    if (!value.trim() || preview.tooLong) {
      text.focus();
      return;
    }
    const replyTo = form.elements.reply_to?.value;
    const entry = { key: newKey(), topic, text: value, name: name?.value.trim(), replyTo, urgent: form.elements.urgent?.checked };
    try {
      entry.event = await signing?.sign(entry);
      queue.add(entry);
    } catch (err) {
      preview.tell(say(err.message === 'full' ? 'js.queue-full' : 'js.not-kept'), true);
      return;
    }
    if (name) write(guestName, name.value.trim());
    text.value = '';
    text.dispatchEvent(new Event('input', { bubbles: true }));
    if (form.elements.urgent) form.elements.urgent.checked = false;
    form.querySelectorAll('.answering, .undo, [name=reply_to], .note.bad').forEach((x) => x.remove());
    text.focus();
    queue.flush();
  };

  const rows = new Map(); // by key: the entry's li
  const draw = (entry, id) => {
    if (entry && id) {
      taken(rows, entry, id, list);
      return;
    }
    const waiting = queue.all().filter((x) => x.topic === topic);
    for (const [key, li] of rows) {
      if (li.dataset.id || waiting.some((x) => x.key === key)) continue;
      li.remove(); // sent from another tab, or given up
      rows.delete(key);
    }
    for (const x of waiting) {
      const li = row(x, { text, signing });
      const old = rows.get(x.key);
      rows.set(x.key, li);
      if (old) old.replaceWith(li);
      else addRow(list, li);
    }
  };
  listen(draw);
  draw();
  wake();
}

// ownList is where what is written shows on pages that have no live list.
function ownList(form) {
  const list = el('ol', { class: 'messages' });
  form.before(list);
  return list;
}

function addRow(list, li) {
  const follow = document.documentElement.scrollHeight - innerHeight - scrollY < 400;
  document.querySelector('[data-empty]')?.remove();
  list.append(li);
  if (follow || document.hasFocus()) scrollTo({ top: document.documentElement.scrollHeight, behavior: 'instant' });
}

// taken turns what waited into what the machine has. Its own li, with the
// machine's words, takes this one's place when it comes.
function taken(rows, entry, id, list) {
  const li = rows.get(entry.key);
  rows.delete(entry.key);
  if (!li) return;
  const there = list.querySelector(`li[data-id="${CSS.escape(id)}"]`);
  if (there) {
    li.replaceWith(there);
    return;
  }
  li.dataset.id = id;
  li.classList.remove('waiting');
  li.querySelector('.fate').replaceChildren(el('span', { 'data-delivery': true }, el('span', { class: 'delivery' }, say('js.saved'))));
}

// row shows an entry that the machine does not have yet.
function row(x, { text, signing }) {
  const author = x.event ? signing?.called() : x.name;
  const fate = el('p', { class: 'fate' });
  if (x.state === 'failed') {
    fate.append(
      el('span', { class: 'delivery bad' }, say('js.failed', { why: x.why ?? '' })),
      el('button', { type: 'button', class: 'quiet small', onclick: () => queue.again(x.key) }, say('js.again')),
      el('button', {
        type: 'button',
        class: 'quiet small',
        onclick: () => {
          text.value = text.value ? `${x.text}\n${text.value}` : x.text;
          queue.remove(x.key);
          text.dispatchEvent(new Event('input', { bubbles: true }));
          text.focus();
        },
      }, say('js.edit')),
      el('button', { type: 'button', class: 'quiet small', onclick: () => queue.remove(x.key) }, say('js.discard')),
    );
  } else {
    fate.append(el('span', { class: 'delivery waiting' }, x.why ? say('js.waiting-why', { why: x.why }) : say('js.waiting')));
  }
  return el('li', { class: `message ${x.state === 'failed' ? 'failed' : 'waiting'}${x.urgent ? ' urgent' : ''}`, 'data-queue': x.key },
    el('span', { class: 'face tone0', 'aria-hidden': 'true' }, ([...(author || '·')][0] ?? '·').toUpperCase()),
    el('article', {},
      el('p', { class: 'meta' }, el('bdi', { class: 'author' }, author || say('js.you')), ' ', el('span', { class: 'time' }, time(x.at / 1000))),
      el('p', { class: 'text', dir: 'auto' }, x.text),
      fate));
}

const read = (key) => {
  try {
    return kept.getItem(key) ?? '';
  } catch {
    return '';
  }
};

const write = (key, value) => {
  try {
    if (value) kept.setItem(key, value);
    else kept.removeItem(key);
  } catch {
    // No room: what is typed is still in the form.
  }
};

// keepDraft keeps what is typed through reloads and restarts of everything.
function keepDraft(text, key) {
  // A form that came back with an error has what was typed; after one that went
  // well without this script the draft is history.
  const posted = new URLSearchParams(location.search).has('posted');
  if (posted) write(key, '');
  else if (!text.value) text.value = read(key);
  let timer = null;
  const save = () => {
    clearTimeout(timer);
    timer = null;
    write(key, text.value.length <= longestDraft ? text.value : '');
  };
  text.addEventListener('input', () => {
    clearTimeout(timer);
    if (text.value) timer = setTimeout(save, draftAfter);
    else save();
  });
  addEventListener('pagehide', save);
  document.addEventListener('visibilitychange', save);
}

// A Preview tells what a text takes: bytes, packets of the radio, waiting.
class Preview {
  constructor(form, topic) {
    this.place = form.querySelector('[data-preview]');
    this.topic = topic;
    this.limit = Infinity;
    this.tooLong = false;
    this.timer = null;
    this.asked = 0;
  }

  tell(words, bad) {
    if (!this.place) return;
    this.place.textContent = words;
    this.place.classList.toggle('bad', bad);
  }

  show(text) {
    clearTimeout(this.timer);
    const bytes = byteLength(text);
    this.tooLong = bytes > this.limit;
    if (bytes === 0) {
      this.asked++;
      this.tell('', false);
      return;
    }
    if (this.tooLong) {
      this.tell(say('js.over', { n: bytes - this.limit }), true);
      return;
    }
    this.timer = setTimeout(() => this.ask(bytes), previewAfter);
  }

  async ask(bytes) {
    clearTimeout(this.timer);
    const turn = ++this.asked;
    let p = null;
    try {
      const r = await fetch(`/v1/preview?${new URLSearchParams({ topic: this.topic, bytes: Math.min(bytes, longestEvent) })}`, { headers: { Accept: 'application/json' } });
      if (r.ok) p = await r.json();
    } catch {
      // Without the machine there is still the count.
    }
    if (turn !== this.asked) return;
    if (Number.isFinite(p?.limit)) this.limit = p.limit;
    this.tooLong = bytes > Math.min(this.limit, longestEvent);
    if (this.tooLong && this.limit < Infinity) this.tell(say('js.over', { n: bytes - this.limit }), true);
    else this.tell(p?.words || say('js.bytes', { n: bytes }), Boolean(p?.warned));
  }
}

let signing = null; // own.js

// ready fetches what signs, only where there is a key.
export async function ready() {
  if (read('drey.key')) signing = await import('./own.js');
}

// A Signing lets visitors write with a key of their own.
class Signing {
  constructor(form, page) {
    this.form = form;
    this.page = page;
    this.own = null;
    this.note = form.querySelector(':scope > .small');
    this.as = form.elements.name.closest('label');
    if (signing) this.load();
    else this.note?.append(' ', el('a', { href: '/private#key' }, say('js.own-make')));
  }

  load() {
    const replyTo = this.form.elements.reply_to?.value;
    if (replyTo) this.answered = this.parent(replyTo).catch(() => undefined); // while the machine is in reach
    const { Own, announce } = signing;
    this.own = new Own(kept);
    if (this.own.profile() && !this.own.announced()) announce(this.own);
    const box = el('input', { type: 'checkbox', onchange: () => {
      write(signName, box.checked ? '' : 'no');
      this.draw();
    } });
    box.checked = read(signName) !== 'no';
    this.box = box;
    this.choice = el('label', { class: 'check' }, box, ' ', say('js.own-sign', { name: this.called() }));
    this.as.before(this.choice);
    this.draw();
  }

  draw() {
    this.as.hidden = this.on();
    const wrong = this.page.clock.wrong();
    this.note?.replaceChildren(...(this.on() ? [say('js.own-signed'), ' ', el('a', { href: '/private#key' }, say('js.own-key')), wrong ? ` ${say('js.clock-wrong', { n: Math.abs(wrong) })}` : ''] : [say('js.own-not-signed')]));
  }

  on() {
    return Boolean(this.own && this.box?.checked && this.own.secret());
  }

  called() {
    return this.own?.name() || this.own?.npub().slice(0, 12) || '';
  }

  // sign makes the event of an entry; undefined where the machine is to sign.
  async sign(entry) {
    if (!this.on()) return undefined;
    const parent = entry.replyTo ? ((await this.answered) ?? (await this.parent(entry.replyTo))) : undefined;
    return this.own.note({ topic: entry.topic, text: entry.text, parent }, this.page.clock.seconds());
  }

  async parent(id) {
    const r = await fetch(`/v1/messages/${id}`, { headers: { Accept: 'application/json' } });
    return (await r.json()).record?.event;
  }
}
