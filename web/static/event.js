// Nostr events (NIP-01), made and checked. Pure but for randomness.
import { schnorr, sha256 } from './vendor/noble.js';
import { hex, unhex, toBytes } from './bytes.js';

export const kinds = { profile: 0, note: 1, seal: 13, privateNote: 14, privateFile: 15, wrap: 1059, inboxRelays: 10050, auth: 22242 };

// serialise writes what an id is the hash of. JSON.stringify escapes what
// NIP-01 does, and nothing more.
export const serialise = (e) => JSON.stringify([0, e.pubkey, e.created_at, e.kind, e.tags, e.content]);

export const idOf = (e) => hex(sha256(toBytes(serialise(e))));

export const publicKey = (secret) => hex(schnorr.getPublicKey(secret));

// newSecret draws a secret key.
export const newSecret = () => schnorr.utils.randomSecretKey();

// sign finishes a draft {kind, created_at, tags, content}.
export function sign(draft, secret) {
  const e = { ...draft, content: wellFormed(draft.content), pubkey: publicKey(secret) };
  e.id = idOf(e);
  e.sig = hex(schnorr.sign(unhex(e.id), secret));
  return e;
}

// wellFormed replaces halves of characters, which UTF-8 cannot carry.
export const wellFormed = (text) => text.replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g, (c) => (c.length === 2 ? c : '\ufffd'));

const isHex = (s, bytes) => typeof s === 'string' && s.length === 2 * bytes && /^[0-9a-f]+$/.test(s);

// formFault says what is wrong with an event's or a rumor's form; "" is none.
export function formFault(e) {
  if (typeof e !== 'object' || e === null || Array.isArray(e)) return 'not an object';
  if (!isHex(e.pubkey, 32)) return 'pubkey';
  if (!isHex(e.id, 32)) return 'id';
  if (!Number.isInteger(e.kind) || e.kind < 0 || e.kind > 65535) return 'kind';
  if (!Number.isInteger(e.created_at) || e.created_at < 0 || e.created_at > 0xffffffff) return 'created_at';
  if (typeof e.content !== 'string') return 'content';
  if (!Array.isArray(e.tags) || e.tags.length > 100) return 'tags';
  if (!e.tags.every((t) => Array.isArray(t) && t.every((v) => typeof v === 'string'))) return 'tags';
  return '';
}

// verify reports whether an event is whole: form, id and signature.
export function verify(e) {
  if (formFault(e) || !isHex(e.sig, 64) || idOf(e) !== e.id) return false;
  try {
    return schnorr.verify(unhex(e.sig), unhex(e.id), unhex(e.pubkey));
  } catch {
    return false;
  }
}

export const tagValues = (e, name) => e.tags.filter((t) => t[0] === name && t.length > 1).map((t) => t[1]);
