// NIP-44 version 2: what two keys say to each other, unreadable for others.
import { secp256k1, sha256, hmac, extract, expand, chacha20 } from './vendor/noble.js';
import { base64, unbase64, concat, equal, fromBytes, toBytes, unhex } from './bytes.js';

const most = 65535; // bytes of a plaintext

// conversationKey is the same for both sides.
export function conversationKey(secret, pubkey) {
  const shared = secp256k1.getSharedSecret(secret, concat(Uint8Array.of(2), unhex(pubkey, 32))).subarray(1, 33);
  return extract(sha256, shared, toBytes('nip44-v2'));
}

export function messageKeys(conversation, nonce) {
  if (conversation.length !== 32 || nonce.length !== 32) throw new Error('nip44: key and nonce have 32 bytes');
  const keys = expand(sha256, conversation, nonce, 76);
  return { key: keys.subarray(0, 32), nonce: keys.subarray(32, 44), auth: keys.subarray(44, 76) };
}

// paddedLength hides the length of a text among those near it.
export function paddedLength(size) {
  if (!Number.isInteger(size) || size < 1) throw new Error('nip44: length');
  if (size <= 32) return 32;
  const next = 2 ** (Math.floor(Math.log2(size - 1)) + 1);
  const chunk = next <= 256 ? 32 : next / 8;
  return chunk * (Math.floor((size - 1) / chunk) + 1);
}

function pad(text) {
  const plain = toBytes(text);
  if (plain.length < 1 || plain.length > most) throw new Error(`nip44: ${plain.length} bytes, 1 to ${most} fit`);
  return concat(Uint8Array.of(plain.length >> 8, plain.length & 255), plain, new Uint8Array(paddedLength(plain.length) - plain.length));
}

function unpad(padded) {
  const size = (padded[0] << 8) | padded[1];
  if (size < 1 || padded.length !== 2 + paddedLength(size)) throw new Error('nip44: padding');
  return fromBytes(padded.subarray(2, 2 + size));
}

// encrypt seals a text. The nonce is given by tests only.
export function encrypt(text, conversation, nonce = crypto.getRandomValues(new Uint8Array(32))) {
  const k = messageKeys(conversation, nonce);
  const sealed = chacha20(k.key, k.nonce, pad(text));
  return base64(concat(Uint8Array.of(2), nonce, sealed, hmac(sha256, k.auth, concat(nonce, sealed))));
}

// decrypt opens what encrypt wrote, and throws where it is not exactly that.
export function decrypt(payload, conversation) {
  if (payload.startsWith('#')) throw new Error('nip44: a version that is not known here');
  if (payload.length < 132 || payload.length > 87472) throw new Error(`nip44: ${payload.length} letters`);
  const data = unbase64(payload);
  if (data.length < 99 || data.length > 65603) throw new Error(`nip44: ${data.length} bytes`);
  if (data[0] !== 2) throw new Error(`nip44: version ${data[0]} is not known here`);
  const nonce = data.subarray(1, 33);
  const sealed = data.subarray(33, -32);
  const k = messageKeys(conversation, nonce);
  if (!equal(hmac(sha256, k.auth, concat(nonce, sealed)), data.subarray(-32))) throw new Error('nip44: it was changed, or is for another key');
  return unpad(chacha20(k.key, k.nonce, sealed));
}
