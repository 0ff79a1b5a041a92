// Private messages (NIP-17) in gift wraps (NIP-59). What a message is called is
// its rumor's id: wrap, own copy and whatever brings it again are one message.
import { kinds, idOf, formFault, newSecret, publicKey, sign, verify, wellFormed, tagValues } from './event.js';
import { conversationKey, encrypt, decrypt } from './nip44.js';

const twoDays = 2 * 24 * 3600; // seconds

// somewhen is a time up to two days before now, never after, from
// cryptographic randomness: it must not tell when somebody wrote.
export function somewhen(now, random = crypto.getRandomValues(new Uint32Array(1))[0]) {
  return Math.max(0, Math.floor(now) - (random % twoDays));
}

// rumor makes an unsigned message from {kind, created_at, tags, content}.
export function rumor(draft, pubkey) {
  const r = { kind: draft.kind, created_at: draft.created_at, tags: draft.tags, content: wellFormed(draft.content), pubkey };
  return { id: idOf(r), ...r };
}

// wrap seals a rumor for one recipient. Now is in seconds.
export function wrap(message, secret, recipient, now) {
  const seal = sign({ kind: kinds.seal, created_at: somewhen(now), tags: [], content: encrypt(JSON.stringify(message), conversationKey(secret, recipient)) }, secret);
  const once = newSecret();
  return sign({ kind: kinds.wrap, created_at: somewhen(now), tags: [['p', recipient]], content: encrypt(JSON.stringify(seal), conversationKey(once, recipient)) }, once);
}

// wrapAll seals a rumor for each recipient and, last, for its author.
export function wrapAll(message, secret, now) {
  const to = [...new Set([...tagValues(message, 'p'), publicKey(secret)])];
  return to.map((recipient) => wrap(message, secret, recipient, now));
}

function parse(text, what) {
  let v;
  try {
    v = JSON.parse(text);
  } catch {
    throw new Error(`the ${what} is not JSON`);
  }
  const fault = formFault(v);
  if (fault) throw new Error(`the ${what} is malformed: ${fault}`);
  return v;
}

// unwrap opens a wrap and returns its rumor. It throws, saying why, where
// anything is not as NIP-59 has it: else somebody could speak for another.
export function unwrap(event, secret) {
  if (event.kind !== kinds.wrap || !verify(event)) throw new Error('the wrap is not whole');
  if (!tagValues(event, 'p').includes(publicKey(secret))) throw new Error('the wrap is for somebody else');
  const seal = parse(decrypt(event.content, conversationKey(secret, event.pubkey)), 'seal');
  if (seal.kind !== kinds.seal) throw new Error(`the seal has kind ${seal.kind}`);
  if (seal.tags.length) throw new Error('the seal has tags');
  if (!verify(seal)) throw new Error('the seal is not whole');
  const inner = parse(decrypt(seal.content, conversationKey(secret, seal.pubkey)), 'message');
  if (inner.pubkey !== seal.pubkey) throw new Error('the message names another author than who sealed it');
  if (inner.sig !== undefined) throw new Error('the message is signed, so it was taken from elsewhere');
  if (idOf(inner) !== inner.id) throw new Error('the message has a wrong id');
  const { id, pubkey, created_at, kind, tags, content } = inner;
  return { id, pubkey, created_at, kind, tags, content };
}
