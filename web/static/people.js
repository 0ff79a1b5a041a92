// Whom keys belong to, as the machine knows them.

const together = 40; // keys of one question
const soon = 20; // ms that questions wait for each other

// People asks the machine at url and remembers while the page is open.
export class People {
  constructor(url, fetcher = (...a) => fetch(...a)) {
    this.url = url;
    this.fetcher = fetcher;
    this.known = new Map(); // by key: {key, npub, name, belongs}
    this.asking = new Map(); // by key: promise
    this.wanted = [];
    this.all = null;
  }

  // list gives everybody who may be chosen, by name.
  list() {
    this.all ??= this.fetch('').catch(() => {
      this.all = null;
      return [];
    });
    return this.all;
  }

  // name is what a key is called, as far as is known now; changed() is called
  // when more is.
  name(key, changed) {
    const p = this.known.get(key);
    if (p) return this.distinct(p);
    this.ask(key).then((found) => found && changed?.());
    return `${key.slice(0, 8)}…`;
  }

  // distinct adds the beginning of the key where somebody else is called so, or
  // nearly so.
  distinct(p) {
    const twin = p.name && [...this.known.values()].some((o) => o.key !== p.key && fold(o.name) === fold(p.name));
    return twin ? `${p.name} (${p.npub.slice(5, 11)}…)` : p.name || short(p.npub);
  }

  // belongs tells whether a key is of the community or its guest.
  async belongs(key) {
    return Boolean((await this.ask(key))?.belongs);
  }

  forget(key) {
    this.known.delete(key);
    this.asking.delete(key);
  }

  ask(key) {
    if (this.known.has(key)) return Promise.resolve(this.known.get(key));
    let p = this.asking.get(key);
    if (p) return p;
    p = new Promise((resolve) => {
      this.wanted.push({ key, resolve });
      if (this.wanted.length === 1) setTimeout(() => this.send(), soon);
    });
    this.asking.set(key, p);
    return p;
  }

  async send() {
    const batch = this.wanted.splice(0, together);
    if (this.wanted.length) setTimeout(() => this.send(), soon);
    try {
      await this.fetch(`?${new URLSearchParams({ key: batch.map((b) => b.key).join(',') })}`);
    } catch {
      for (const b of batch) this.asking.delete(b.key); // asked again the next time
    }
    for (const b of batch) b.resolve(this.known.get(b.key));
  }

  async fetch(query) {
    const r = await this.fetcher(this.url + query, { headers: { Accept: 'application/json' } });
    if (!r.ok) throw new Error(String(r.status));
    const { people } = await r.json();
    for (const p of people) this.known.set(p.key, p);
    return people;
  }
}

const short = (npub) => `${npub.slice(0, 9)}…${npub.slice(-4)}`;

// fold writes a name in small letters, without accents and what cannot be seen.
const fold = (name) => name.normalize('NFKD').replace(/[\p{M}\p{Cf}\s]/gu, '').toLowerCase();
