// Private messages and the visitor's own key. The key and what was read stay in
// this browser; the machine carries sealed wraps, as for any Nostr app.
import { bech32, hex, unbech32, unhex } from './bytes.js';
import { clock as time, el, secure } from './dom.js';
import { Mailbox, bundleKind, partners, stores } from './mailbox.js';
import { kinds } from './event.js';
import { kept } from './outbox.js';
import { Own, announce } from './own.js';
import { People } from './people.js';
import { Relay, relayURL } from './socket.js';
import { Memory, Shelf } from './shelf.js';
import { say } from './words.js';

const asked = 500; // wraps of one question; the relay gives no more
const lostAfter = 4000; // ms
const knockAgain = 7000; // ms until a machine that had no time for a new key is asked again

// begin serves the view.
export function begin(root, page) {
  document.querySelector('[data-private-without]')?.remove();
  root.hidden = false;
  new Private(root, page).start();
}

class Private {
  constructor(root, page) {
    this.root = root;
    this.page = page;
    this.own = new Own(kept);
    this.people = new People(root.dataset.people);
    this.box = null;
    this.relay = null;
    this.open = ''; // the conversation on screen
    this.rows = new Map(); // of the conversation on screen, by message
  }

  part(name) {
    return this.root.querySelector(`[data-private-${name}]`);
  }

  start() {
    this.part('make').addEventListener('submit', (e) => this.make(e));
    this.part('to').addEventListener('submit', (e) => this.choose(e));
    this.part('compose').addEventListener('submit', (e) => this.write(e));
    this.part('compose').elements.text.addEventListener('input', () => this.draft());
    this.part('compose').elements.text.addEventListener('keydown', (e) => {
      if (e.key === 'Enter' && !e.isComposing && !e.shiftKey && (e.ctrlKey || e.metaKey || matchMedia('(hover: hover) and (pointer: fine)').matches)) {
        e.preventDefault();
        this.part('compose').requestSubmit();
      }
    });
    this.keyPanel();
    addEventListener('hashchange', () => this.route());
    addEventListener('online', () => this.relay?.wake());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState !== 'visible') return;
      this.relay?.wake();
      this.opened();
    });
    if (this.own.secret()) this.begin();
    else this.part('start').hidden = false;
  }

  // make draws a key, names it, and has the machine give it its pass.
  async make(e) {
    e.preventDefault();
    const name = e.target.elements.name.value;
    this.own.make();
    this.own.rename(name, this.page.clock.seconds());
    this.part('start').hidden = true;
    await this.begin();
    this.part('with').focus?.();
  }

  async begin() {
    this.part('mail').hidden = false;
    this.part('key').hidden = false;
    this.showKey();
    if (!this.own.profile()) this.own.rename(this.own.name() || say('js.guest'), this.page.clock.seconds());
    const secret = this.own.secret();
    this.relay = new Relay({ url: relayURL(), secret, clock: this.page.clock, changed: (up) => this.contact(up) });
    this.box = new Mailbox({
      secret,
      shelf: new Shelf(`drey private ${this.own.pubkey().slice(0, 16)}`, stores),
      relay: this.relay,
      clock: this.page.clock,
      changed: () => this.drawSoon(),
    });
    try {
      await this.box.load();
    } catch {
      this.box.shelf = new Memory();
      this.part('key-said').textContent = say('js.no-storage');
    }
    this.ask();
    this.introduce().then(() => this.relay.start());
    this.contact(false);
    this.people.list().then((list) => {
      this.root.querySelector('#private-people').replaceChildren(...list.filter((p) => p.key !== this.own.pubkey()).map((p) => el('option', { value: p.name }, p.npub)));
    });
    this.route();
  }

  // introduce has the machine know the key and its name: a new key's pass comes
  // with the first event that the machine takes from it.
  async introduce() {
    // A machine that was set up anew, or a pass that ran out, wants it again.
    if (this.own.announced() && (await this.people.ask(this.own.pubkey()))?.belongs) return;
    const { ok, problem } = await announce(this.own);
    clearTimeout(this.knock);
    if (!ok && (!problem || problem.code === 'too-fast' || problem.code === 'busy')) this.knock = setTimeout(() => this.introduce(), knockAgain);
    if (!ok) this.part('key-said').textContent = say('js.no-pass', { why: problem?.why || problem?.what || say('js.later') });
    else this.part('key-said').textContent = '';
    this.people.forget(this.own.pubkey());
  }

  // ask wants every wrap for this key: first what is stored, page by page, then
  // what comes.
  ask(until) {
    const filter = { kinds: [kinds.wrap], '#p': [this.own.pubkey()], limit: asked };
    if (until !== undefined) filter.until = until;
    let n = 0;
    let oldest = Infinity;
    const end = this.relay.ask([filter], (e) => {
      n++;
      oldest = Math.min(oldest, e.created_at);
      this.box.take(e);
    }, () => {
      if (until !== undefined) end();
      if (n >= asked && oldest !== until) this.ask(oldest);
      n = 0;
    });
  }

  contact(up) {
    const line = this.part('contact');
    clearTimeout(this.lost);
    if (up) {
      line.textContent = '';
      this.box.flush();
      return;
    }
    this.lost = setTimeout(() => {
      line.textContent = say('js.no-contact');
    }, lostAfter);
  }

  // route opens what the address names: #to=npub1… or a conversation.
  route() {
    if (!this.box) return;
    const to = new URLSearchParams(location.hash.slice(1)).get('to') ?? '';
    const keys = to.split(',').map(keyOf);
    this.open = to && keys.every(Boolean) ? partners({ pubkey: this.own.pubkey(), tags: keys.map((k) => ['p', k]) }, this.own.pubkey()) : '';
    this.rows.clear();
    this.part('messages').replaceChildren();
    this.part('list').hidden = Boolean(this.open);
    this.part('thread').hidden = !this.open;
    this.part('key').hidden = Boolean(this.open);
    document.body.classList.toggle('talking', Boolean(this.open));
    if (this.open) {
      this.part('compose').elements.text.value = kept.getItem(this.draftKey()) ?? '';
    }
    this.draw();
    if (this.open) {
      scrollTo({ top: document.documentElement.scrollHeight, behavior: 'instant' });
      this.part('with').focus({ preventScroll: true });
    }
  }

  async choose(e) {
    e.preventDefault();
    const said = this.part('to-said');
    const value = e.target.elements.to.value.trim();
    const key = keyOf(value.replace(/^nostr:/i, ''));
    if (key) return this.go([key], e.target);
    const found = (await this.people.list()).filter((p) => p.name.toLowerCase() === value.toLowerCase() && p.key !== this.own.pubkey());
    if (found.length === 1) return this.go([found[0].key], e.target);
    said.textContent = say(found.length ? 'js.to-several' : 'js.to-nobody', { name: value });
    return undefined;
  }

  go(keys, form) {
    if (keys.includes(this.own.pubkey())) {
      this.part('to-said').textContent = say('js.to-self');
      return;
    }
    form.reset();
    this.part('to-said').textContent = '';
    location.hash = addressOf(keys);
  }

  drawSoon() {
    if (this.drawing) return;
    this.drawing = setTimeout(() => {
      this.drawing = null;
      this.draw();
    }, 30);
  }

  draw() {
    this.drawList();
    this.drawThread();
    this.opened();
  }

  opened() {
    if (!this.open || !this.box || document.visibilityState !== 'visible') return;
    this.box.open(this.open, (key) => this.people.belongs(key));
  }

  called(conversation) {
    return conversation.split(' ').map((k) => this.people.name(k, () => this.drawSoon())).join(', ');
  }

  drawList() {
    const list = this.box.conversations();
    this.part('none').hidden = list.length > 0;
    this.root.querySelector('[data-conversations]').replaceChildren(...list.map((c) => el('li', {},
      el('a', { href: `#${addressOf(c.with.split(' '))}` },
        el('span', { class: 'face tone2', 'aria-hidden': 'true' }, initial(this.called(c.with))),
        el('span', { class: 'name' }, el('bdi', {}, this.called(c.with))),
        el('span', { class: 'when' }, time(c.last.rumor.created_at)),
        el('span', { class: 'last' }, el('bdi', {}, c.last.mine ? `${say('js.you')}: ${content(c.last)}` : content(c.last))),
        el('span', { class: 'unread' }, ...(c.unread ? [el('span', { class: 'count', 'aria-hidden': 'true' }, String(c.unread)), el('span', { class: 'aloud' }, ` ${say('js.unread', { n: c.unread })}`)] : []))))));
    const n = this.box.unread();
    document.title = document.title.replace(/^(\(\d+\) )?/, n ? `(${n}) ` : '');
  }

  drawThread() {
    if (!this.open) return;
    this.part('with').replaceChildren(el('bdi', {}, this.called(this.open)));
    this.part('who').textContent = this.open.split(' ').map((k) => bech32('npub', unhex(k))).join(', ');
    const place = this.part('messages');
    const { scrollHeight } = document.documentElement;
    const follow = scrollHeight - innerHeight - scrollY < 200;
    const grew = place.children.length;
    const thread = this.box.thread(this.open).filter((m) => (this.box.bundle(m)?.first ?? m.id) === m.id);
    for (const m of thread) {
      const stamp = `${m.state} ${m.acks.length} ${m.why ?? ''} ${this.called(m.rumor.pubkey)} ${Boolean(this.box.bundle(m)?.bytes)}`;
      const old = this.rows.get(m.id);
      if (old?.dataset.stamp === stamp) continue;
      const li = this.row(m);
      li.dataset.stamp = stamp;
      this.rows.set(m.id, li);
      if (old) old.replaceWith(li);
      else place.append(li);
    }
    // What comes late, as after a split, goes to its place.
    const order = thread.map((m) => this.rows.get(m.id));
    for (const li of [...place.children]) if (!order.includes(li)) li.remove(); // parts of what begins earlier
    order.forEach((li, i) => {
      if (place.children[i] !== li) place.insertBefore(li, place.children[i] ?? null);
    });
    if (place.children.length > grew && follow) scrollTo({ top: document.documentElement.scrollHeight, behavior: 'instant' });
  }

  row(m) {
    const name = m.mine ? this.own.name() || say('js.you') : this.called(m.rumor.pubkey);
    return el('li', { class: `message${m.mine && m.state === 'waiting' ? ' waiting' : ''}`, 'data-id': m.id },
      el('span', { class: `face tone${m.mine ? 0 : 2}`, 'aria-hidden': 'true' }, initial(name)),
      el('article', {},
        el('p', { class: 'meta' }, el('bdi', { class: 'author' }, name), ' ', el('span', { class: 'time' }, time(m.rumor.created_at))),
        el('p', { class: 'text', dir: 'auto' }, content(m)),
        this.file(m),
        m.mine ? el('p', { class: 'fate' }, el('span', { class: `delivery${m.state === 'waiting' ? ' waiting' : m.state === 'failed' ? ' bad' : ''}` }, this.fate(m))) : null));
  }

  // file offers what a message carries; nothing is opened by itself.
  file(m) {
    const b = this.box.bundle(m);
    if (!b) return null;
    if (!b.bytes) return el('p', { class: 'small' }, say('js.file-parts'));
    return el('p', {}, el('button', { type: 'button', class: 'quiet', onclick: () => {
      const url = URL.createObjectURL(new Blob([b.bytes], { type: 'application/octet-stream' }));
      el('a', { href: url, download: b.name.split(/[\\/]/).pop() || 'file' }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
    } }, say('js.file-save', { n: b.size })));
  }

  // fate says what became of a message, and never more than is known.
  fate(m) {
    if (m.acks.length) return say('js.private-acknowledged', { name: m.acks.map((k) => this.called(k)).join(', ') });
    if (m.state === 'failed') return say('js.failed', { why: m.why ?? '' });
    return say(m.state === 'waiting' ? 'js.waiting' : 'js.private-saved');
  }

  draftKey() {
    return `drey.private.draft.${this.own.pubkey().slice(0, 8)}.${this.open.replaceAll(' ', '.')}`;
  }

  draft() {
    const { value } = this.part('compose').elements.text;
    try {
      if (value) kept.setItem(this.draftKey(), value);
      else kept.removeItem(this.draftKey());
    } catch {
      // No room: what is typed is still in the form.
    }
  }

  async write(e) {
    e.preventDefault();
    const text = e.target.elements.text;
    const said = this.part('said');
    const { value } = text;
    if (!value.trim() || this.writing) return;
    this.writing = true;
    try {
      await this.box.write(this.open.split(' '), value);
    } catch (err) {
      said.textContent = say(/nip44/.test(err.message) ? 'js.too-large' : 'js.not-kept');
      return;
    } finally {
      this.writing = false;
    }
    said.textContent = '';
    text.value = '';
    this.draft();
    this.draw();
    scrollTo({ top: document.documentElement.scrollHeight, behavior: 'instant' });
    text.focus();
  }

  keyPanel() {
    const safe = secure();
    this.part('insecure').hidden = safe;
    this.part('secure').hidden = !safe;
    this.part('https').href = `https://${location.host}/private`;
    const said = this.part('key-said');
    this.part('name').addEventListener('submit', async (e) => {
      e.preventDefault();
      said.textContent = '';
      this.people.forget(this.own.pubkey());
      this.own.rename(e.target.elements.name.value, this.page.clock.seconds());
      await this.introduce();
      said.textContent ||= say('js.renamed');
      this.showKey();
      this.draw();
    });
    this.part('show').addEventListener('click', () => {
      const place = this.part('nsec');
      place.textContent = place.textContent ? '' : this.own.show(secure());
    });
    this.part('import').addEventListener('submit', (e) => {
      e.preventDefault();
      try {
        if (this.own.secret() && !confirm(say('js.replace-key'))) return;
        this.own.take(e.target.elements.nsec.value, secure());
      } catch {
        said.textContent = say('js.bad-nsec');
        return;
      } finally {
        e.target.reset();
      }
      location.reload();
    });
    this.part('forget').addEventListener('click', async () => {
      if (!confirm(say('js.forget-key'))) return;
      this.relay?.stop();
      this.own.forget();
      await this.box?.shelf.destroy();
      location.replace('/private');
    });
  }

  showKey() {
    this.part('npub').textContent = this.own.npub();
    this.part('name').elements.name.value = this.own.name();
  }
}

// keyOf reads an npub or 64 hexadecimal digits; '' where it is neither.
function keyOf(text) {
  try {
    return /^[0-9a-f]{64}$/i.test(text) ? text.toLowerCase() : hex(unbech32('npub', text));
  } catch {
    return '';
  }
}

const addressOf = (keys) => `to=${keys.map((k) => bech32('npub', unhex(k))).join(',')}`;

const initial = (name) => ([...name].find((c) => /[\p{L}\p{N}]/u.test(c)) ?? '·').toUpperCase();

// content is a message in one text; what is no text is named.
function content(m) {
  const name = m.rumor.tags.find((t) => t[0] === 'name')?.[1];
  switch (m.rumor.kind) {
    case kinds.privateFile:
      return say('js.private-file-link');
    case bundleKind:
      return say('js.private-file', { name: name ?? '' });
  }
  return m.rumor.content;
}
