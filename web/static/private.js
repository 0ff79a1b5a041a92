// Private messages and the visitor's own key. The key and what was read stay in
// this browser; the machine carries sealed wraps, as for any Nostr app.
import { bech32, byteLength, unhex } from './bytes.js';
import { Chooser, addressOf, keyOf } from './chooser.js';
import { clock as time, el, secure } from './dom.js';
import { Mailbox, bundleKind, partners, recipientsMost, stores, subjectMost } from './mailbox.js';
import { kinds } from './event.js';
import { kept } from './outbox.js';
import { Own, announce } from './own.js';
import { People } from './people.js';
import { Relay, relayURL } from './socket.js';
import { Memory, Shelf } from './shelf.js';
import { listed, say } from './words.js';

const asked = 500; // wraps of one question; the relay gives no more
const lostAfter = 4000; // ms
const knockAgain = 7000; // ms until a machine that had no time for a new key is asked again

// What is said of a message's readers, by what became of it for them.
const ofAll = { opened: 'js.private-acknowledged', failed: 'js.failed', waiting: 'js.waiting', saved: 'js.private-saved' };
const ofSome = { opened: 'js.private-acknowledged', failed: 'js.failed-for', waiting: 'js.waiting-for', saved: 'js.private-saved-for' };

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
    this.subject = ''; // what it is to be about, where that was chosen
    this.rows = new Map(); // of the conversation on screen, by message
  }

  part(name) {
    return this.root.querySelector(`[data-private-${name}]`);
  }

  start() {
    this.part('make').addEventListener('submit', (e) => this.make(e));
    this.chooser = new Chooser(this.part('to'), { people: this.people, own: () => this.own.pubkey(), go: (keys, subject) => {
      location.hash = addressOf(keys, subject);
    } });
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
    this.chooser.fill();
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
    const address = new URLSearchParams(location.hash.slice(1));
    const to = address.get('to') ?? '';
    const keys = to.split(',').map(keyOf);
    this.subject = address.get('subject')?.trim() ?? '';
    if (byteLength(this.subject) > subjectMost) this.subject = '';
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
    return listed(conversation.split(' ').map((k) => this.people.name(k, () => this.drawSoon())));
  }

  // title is what a conversation is about, else who is in it. What one person says
  // that it is about does not stand for his name.
  title(conversation, subject) {
    const names = this.called(conversation);
    if (!subject) return names;
    return conversation.includes(' ') ? subject : `${names} – ${subject}`;
  }

  // by tells who wrote last, where the title does not.
  by({ with: conversation, last }) {
    if (!last.mine && !conversation.includes(' ')) return null;
    return el('span', { class: 'by' }, el('bdi', {}, last.mine ? say('js.you') : this.called(last.rumor.pubkey)), ':');
  }

  drawList() {
    const list = this.box.conversations();
    this.part('none').hidden = list.length > 0;
    // Links stay who they are: what is replaced under a finger is not pressed.
    const place = this.root.querySelector('[data-conversations]');
    const links = new Map([...place.querySelectorAll('a')].map((a) => [a.getAttribute('href'), a]));
    const rows = list.map((c) => {
      const href = `#${addressOf(c.with.split(' '))}`;
      const a = links.get(href) ?? el('a', { href });
      a.replaceChildren(
        el('span', { class: 'face tone2', 'aria-hidden': 'true' }, initial(this.title(c.with, c.subject))),
        el('span', { class: 'name' }, el('bdi', {}, this.title(c.with, c.subject))),
        el('span', { class: 'when' }, time(c.last.rumor.created_at)),
        el('span', { class: 'last' }, this.by(c), el('span', { dir: 'auto' }, content(c.last))),
        el('span', { class: 'unread' }, ...(c.unread ? [el('span', { class: 'count', 'aria-hidden': 'true' }, String(c.unread)), el('span', { class: 'aloud' }, ` ${say('js.unread', { n: c.unread })}`)] : [])));
      return a.parentElement ?? el('li', {}, a);
    });
    rows.forEach((li, i) => {
      if (place.children[i] !== li) place.insertBefore(li, place.children[i] ?? null);
    });
    while (place.children.length > rows.length) place.lastElementChild.remove();
    const n = this.box.unread();
    document.title = document.title.replace(/^(\(\d+\) )?/, n ? `(${n}) ` : '');
  }

  drawThread() {
    if (!this.open) return;
    this.part('with').replaceChildren(el('bdi', {}, this.title(this.open, this.subject || this.box.subject(this.open))));
    this.drawWho();
    const place = this.part('messages');
    const { scrollHeight } = document.documentElement;
    const follow = scrollHeight - innerHeight - scrollY < 200;
    const grew = place.children.length;
    const thread = this.box.thread(this.open).filter((m) => (this.box.bundle(m)?.first ?? m.id) === m.id);
    for (const m of thread) {
      const stamp = `${m.mine ? this.box.fates(m).map((f) => `${f.state} ${this.called(f.key)}`) : this.called(m.rumor.pubkey)} ${Boolean(this.box.bundle(m)?.bytes)}`;
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

  // drawWho shows everybody in the conversation, by name and key.
  drawWho() {
    const keys = this.open.split(' ');
    const rows = keys.map((k) => [this.called(k), bech32('npub', unhex(k))]);
    const stamp = rows.join();
    const place = this.part('who');
    if (place.dataset.stamp === stamp) return;
    place.dataset.stamp = stamp;
    const npub = (n) => el('bdi', { dir: 'ltr' }, n);
    const opened = Boolean(place.querySelector('details[open]'));
    place.replaceChildren(keys.length === 1 ? npub(rows[0][1]) : el('details', { class: 'quiet', open: opened },
      el('summary', {}, say('js.private-group', { n: keys.length }), ' ', el('bdi', {}, this.called(this.open))),
      el('ul', {}, ...rows.map(([name, n]) => el('li', {}, el('bdi', {}, name), ' ', npub(n))))));
    const many = keys.length > recipientsMost;
    this.part('compose').querySelector('fieldset').disabled = many;
    this.part('said').textContent = many ? say('js.private-crowd', { n: recipientsMost }) : '';
  }

  row(m) {
    const name = m.mine ? this.own.name() || say('js.you') : this.called(m.rumor.pubkey);
    return el('li', { class: `message${m.mine && m.state === 'waiting' ? ' waiting' : ''}`, 'data-id': m.id },
      el('span', { class: `face tone${m.mine ? 0 : 1 + (parseInt(m.rumor.pubkey.slice(0, 2), 16) % 7)}`, 'aria-hidden': 'true' }, initial(name)),
      el('article', {},
        el('p', { class: 'meta' }, el('bdi', { class: 'author' }, name), ' ', el('span', { class: 'time' }, time(m.rumor.created_at))),
        el('p', { class: 'text', dir: 'auto' }, content(m)),
        this.file(m),
        m.mine ? el('p', { class: 'fate' }, ...this.fate(m)) : null));
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

  // fate says what became of a message for each reader, and never more than is
  // known. Where it is one for all, they are not named.
  fate(m) {
    const fates = this.box.fates(m);
    const alike = new Set(fates.map((f) => `${f.state} ${f.why ?? ''}`));
    return [...alike].map((kind) => {
      const those = fates.filter((f) => `${f.state} ${f.why ?? ''}` === kind);
      const [{ state, why = '' }] = those;
      return el('span', { class: `delivery${{ waiting: ' waiting', failed: ' bad' }[state] ?? ''}` },
        say((alike.size > 1 ? ofSome : ofAll)[state], { name: listed(those.map((f) => this.called(f.key))), why }));
    });
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
      await this.box.write(this.open.split(' '), value, { subject: this.subject });
    } catch (err) {
      said.textContent = say(/nip44/.test(err.message) ? 'js.too-large' : 'js.not-kept');
      return;
    } finally {
      this.writing = false;
    }
    if (this.subject) history.replaceState(null, '', `#${addressOf(this.open.split(' '))}`);
    this.subject = '';
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
