// The page while it is open: new messages, what became of those sent, unread
// marks, and whether the machine is in reach.
import { Stream } from './stream.js';
import { el } from './dom.js';
import { say } from './words.js';
import * as outbox from './outbox.js';

const nearEnd = 160; // px above the end within which somebody reads what is new
const mostShown = 400; // messages; older ones leave at the top, and stay a link away
const lostAfter = 4000; // ms without the machine until that is said
const readPause = 3000; // ms between two notes of what was read

let refreshing = null; // for pages whose list is not one of messages

// ready fetches what only some pages need.
export async function ready() {
  if (!document.querySelector('ol.messages[data-live]')) refreshing = await import('./refresh.js');
}

// begin serves the page. found is ignored: there may be several places.
export function begin(found, page) {
  const list = document.querySelector('ol.messages[data-live]');
  const view = list ? new Conversation(list) : null;
  const contact = new Contact();
  const shown = list?.dataset.lastSeq ?? document.body.dataset.lastSeq;
  let seq = shown === undefined ? null : Number(shown);

  const take = (m) => {
    if (m.type === 'state') {
      contact.set(m.up);
      if (m.up) outbox.wake();
      return;
    }
    switch (m.name) {
      case 'message':
        if (seq !== null && m.seq <= seq) return;
        seq = m.seq;
        outbox.settled().then(() => arrive(m, view));
        return;
      case 'delivery':
        deliver(m.data);
        return;
      case 'count':
        count(m.data, list?.dataset.topic);
        return;
      case 'reset':
        if (m.seq !== seq) reload(view);
        seq = seq === null ? null : m.seq;
        return;
      case 'alive':
        page.clock.hear(parse(m.data)?.now);
    }
  };
  outbox.reached((answered) => contact.set(answered));
  const stream = new Stream({ name: `drey ${page.lang} ${page.scope}`, seq: () => seq, take });
  stream.start();

  addEventListener('online', () => stream.wake(true));
  addEventListener('offline', () => contact.set(false));
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') {
      stream.wake();
      view?.read();
    }
  });
  addEventListener('pagehide', () => stream.stop());
  addEventListener('pageshow', (e) => {
    if (e.persisted) stream.restart();
  });
}

// reload shows the page anew: what was missed is more than a stream brings.
// Somebody who reads is asked; what is typed is kept as a draft.
function reload(view) {
  if (!view) refreshing.refresh(['main']);
  else if (atEnd() || document.visibilityState === 'hidden') location.reload();
  else view.offer();
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// fragment makes elements of HTML that the machine wrote. Scripts in it never
// run: the page's policy forbids them, and so does this way of reading it.
function fragment(html) {
  const t = document.createElement('template');
  t.innerHTML = html;
  return t.content;
}

function arrive(m, view) {
  const li = fragment(m.data).querySelector('li[data-id]');
  if (!li) return;
  li.dataset.seq ||= String(m.seq);
  if (view && li.dataset.topic === view.topic) {
    view.add(li);
    return;
  }
  bump(li);
  if (li.classList.contains('urgent')) alarm(li);
}

// alarm tells of an urgent message elsewhere, until somebody has seen to it.
function alarm(li) {
  const { topic, id } = li.dataset;
  const text = li.querySelector('.text')?.textContent ?? '';
  const note = el('p', { class: 'note bad', role: 'alert' },
    el('a', { href: `/t/${topic}#m-${id.slice(0, 16)}` }, say('js.urgent', { topic })), ' ', el('bdi', {}, text.slice(0, 200)), ' ',
    el('button', { type: 'button', class: 'quiet', onclick: () => note.remove() }, say('js.seen')));
  (document.querySelector('form[data-compose]') ?? document.querySelector('main'))?.prepend(note);
}

function deliver(data) {
  const d = parse(data);
  if (!d?.id) return;
  const end = atEnd();
  const { scrollHeight } = document.documentElement;
  for (const place of document.querySelectorAll(`li[data-id="${CSS.escape(d.id)}"] [data-delivery]`)) place.replaceChildren(fragment(d.html ?? ''));
  // Longer words push nothing down under the eyes of who reads the end.
  if (end) scrollBy({ top: document.documentElement.scrollHeight - scrollHeight, behavior: 'instant' });
}

// atEnd tells whether somebody reads what is newest.
function atEnd() {
  return document.documentElement.scrollHeight - innerHeight - scrollY < nearEnd;
}

function count(data, current) {
  for (const [topic, n] of Object.entries(parse(data) ?? {})) {
    for (const row of rows(topic)) unread(row, topic === current ? 0 : n);
  }
}

const rows = (topic) => document.querySelectorAll(`[data-topic-row="${CSS.escape(topic)}"]`);

function unread(row, n) {
  const place = row.querySelector('[data-unread]');
  if (!place) return;
  place.dataset.n = n;
  place.replaceChildren(...(n > 0 ? [el('span', { class: 'count', 'aria-hidden': 'true' }, n > 99 ? '99+' : String(n)), el('span', { class: 'aloud' }, ` ${say('js.unread', { n })}`)] : []));
}

// bump shows the latest line of a conversation that is not open.
function bump(li) {
  const author = li.querySelector('.author')?.textContent ?? '';
  const badge = li.querySelector('.meta .badge:not(.bad)')?.textContent;
  const text = li.querySelector('.text')?.textContent ?? '';
  for (const row of rows(li.dataset.topic)) {
    row.querySelector('.last')?.replaceChildren(el('span', { class: 'by' }, el('bdi', {}, author), badge ? '' : ':'), ' ', badge ? el('span', { class: 'as' }, `(${badge}): `) : '', el('span', { dir: 'auto' }, text.slice(0, 120)));
    row.querySelector('.when')?.replaceChildren(say('js.just-now'));
    const shown = row.querySelector('[data-unread]');
    if (shown) unread(row, (Number(shown.dataset.n ?? parseInt(shown.textContent, 10)) || 0) + 1);
  }
}

// title shows in the tab how many messages wait below.
function title(n) {
  document.title = document.title.replace(/^(\(\d+\) )?/, n ? `(${n}) ` : '');
}

// A Conversation is the open list of messages.
class Conversation {
  constructor(list) {
    this.list = list;
    this.topic = list.dataset.topic;
    this.fresh = 0; // came while the reader was further up
    this.marker = el('button', { type: 'button', class: 'new-marker', hidden: true, onclick: () => this.toEnd() });
    list.after(this.marker);
    this.noting = null;
    addEventListener('scroll', () => {
      if (this.fresh && atEnd()) this.seen();
    }, { passive: true });
  }

  add(li) {
    const known = this.list.querySelector(`li[data-id="${CSS.escape(li.dataset.id)}"]`);
    if (known) {
      known.replaceWith(li); // what was waiting here is a message now
      return;
    }
    const follow = atEnd() && document.visibilityState === 'visible';
    document.querySelector('[data-empty]')?.remove();
    this.list.append(li);
    if (follow) {
      this.trim();
      scrollTo({ top: document.documentElement.scrollHeight, behavior: 'instant' });
      this.read();
      return;
    }
    this.fresh++;
    title(this.fresh);
    this.first ??= li;
    if (!this.missed) this.marker.textContent = say('js.new', { n: this.fresh });
    this.marker.hidden = false;
  }

  // offer asks whether to show what came meanwhile.
  offer() {
    this.missed = true;
    this.marker.textContent = say('js.new-many');
    this.marker.hidden = false;
  }

  // trim lets the oldest go while nobody looks at them.
  trim() {
    while (this.list.children.length > mostShown) this.list.firstElementChild.remove();
  }

  toEnd() {
    if (this.missed) {
      location.reload();
      return;
    }
    this.first?.scrollIntoView({ block: 'center' });
    this.seen();
  }

  seen() {
    this.fresh = 0;
    title(0);
    this.first = undefined;
    this.marker.hidden = true;
    this.read();
  }

  // read tells the machine how far this browser has read.
  read() {
    if (this.noting || this.fresh || document.visibilityState !== 'visible') return;
    this.noting = setTimeout(() => {
      this.noting = null;
      const all = this.list.querySelectorAll('li[data-seq]');
      const last = all[all.length - 1];
      if (!last || last.dataset.seq === this.noted) return;
      this.noted = last.dataset.seq;
      fetch('/read', { method: 'POST', body: new URLSearchParams({ topic: this.topic, seq: this.noted }), keepalive: true }).catch(() => {
        this.noted = undefined;
      });
    }, readPause);
  }
}

// A Contact is the line that tells when the machine cannot be reached.
class Contact {
  constructor() {
    this.line = el('p', { class: 'contact', role: 'status' });
    const form = document.querySelector('form[data-compose]');
    if (form) form.prepend(this.line);
    else document.querySelector('main')?.prepend(this.line);
    this.timer = null;
  }

  set(up) {
    if (up) {
      clearTimeout(this.timer);
      this.timer = null;
      this.line.textContent = '';
      return;
    }
    this.timer ??= setTimeout(() => {
      this.line.textContent = say('js.no-contact');
    }, lostAfter);
  }
}
