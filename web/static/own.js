// The visitor's own key. It is made here, stays here, and is as safe as this
// browser on this network: guest-grade, and the page says so.
import { bech32, hex, unbech32, unhex } from './bytes.js';
import { kinds, newSecret, publicKey, sign } from './event.js';

const keyName = 'drey.key';
const profileName = 'drey.profile';
const announcedName = 'drey.announced'; // the id of the profile that the machine took
const longestName = 32; // letters, as the machine takes them

// An Own is the key of this browser, kept in storage.
export class Own {
  constructor(storage = localStorage) {
    this.storage = storage;
  }

  // secret returns the key's bytes, or null.
  secret() {
    try {
      return unhex(this.storage.getItem(keyName), 32);
    } catch {
      return null;
    }
  }

  pubkey() {
    const s = this.secret();
    return s && publicKey(s);
  }

  npub() {
    const p = this.pubkey();
    return p && bech32('npub', unhex(p));
  }

  make() {
    if (!this.secret()) this.storage.setItem(keyName, hex(newSecret()));
    return this.secret();
  }

  // take keeps a key that was made elsewhere. Where others can listen it is
  // refused; so is what is no key.
  take(nsec, secure) {
    if (!secure) throw new Error('insecure');
    const s = unbech32('nsec', nsec.trim());
    publicKey(s); // throws for what is no key
    this.storage.setItem(keyName, hex(s));
    this.storage.removeItem(profileName);
  }

  // show returns the key as text, for another device.
  show(secure) {
    if (!secure) throw new Error('insecure');
    return bech32('nsec', this.secret());
  }

  forget() {
    this.storage.removeItem(keyName);
    this.storage.removeItem(profileName);
    this.storage.removeItem(announcedName);
  }

  // profile returns the event that says what the key is called, or null.
  profile() {
    try {
      const e = JSON.parse(this.storage.getItem(profileName));
      return e && e.pubkey === this.pubkey() ? e : null;
    } catch {
      return null;
    }
  }

  name() {
    try {
      return String(JSON.parse(this.profile().content).name ?? '');
    } catch {
      return '';
    }
  }

  // rename signs a profile (kind 0) and keeps it. Seconds is the machine's time.
  rename(name, seconds) {
    const clean = [...name.replace(/[\u0000-\u001f\u007f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\u2028\u2029]/g, ' ').trim()].slice(0, longestName).join('');
    const before = this.profile();
    const e = sign({ kind: kinds.profile, created_at: Math.max(seconds, (before?.created_at ?? 0) + 1), tags: [], content: JSON.stringify({ name: clean }) }, this.secret());
    this.storage.setItem(profileName, JSON.stringify(e));
    return e;
  }

  // announced tells whether the machine has taken the profile.
  announced() {
    const e = this.profile();
    return e !== null && this.storage.getItem(announcedName) === e.id;
  }

  // note signs a line of chat. Parent is the event that it answers, or undefined.
  note({ topic, text, parent }, seconds) {
    return sign({ kind: kinds.note, created_at: seconds, tags: [['t', topic], ...replyTags(parent)], content: text }, this.secret());
  }
}

// replyTags names the thread's root, what is answered, and its author (NIP-10).
export function replyTags(parent) {
  if (!parent) return [];
  const root = parent.tags.find((t) => t[0] === 'e' && t[3] === 'root')?.[1] ?? parent.id;
  const tags = [['e', root, '', 'root']];
  if (root !== parent.id) tags.push(['e', parent.id, '', 'reply']);
  return [...tags, ['p', parent.pubkey]];
}

// announce hands the profile to the machine, which gives a new key its pass. It
// may be said again: the machine knows it by its id.
export async function announce(own, fetcher = fetch) {
  const e = own.profile();
  if (!e) return { ok: false };
  try {
    const r = await fetcher('/v1/events', { method: 'POST', keepalive: true, headers: { 'Content-Type': 'application/json', Accept: 'application/json' }, body: JSON.stringify(e) });
    const body = await r.json().catch(() => ({}));
    if (r.ok) own.storage.setItem(announcedName, e.id);
    return { ok: r.ok, problem: body.error };
  } catch {
    return { ok: false };
  }
}
