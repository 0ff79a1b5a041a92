import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { conversationKey, messageKeys, paddedLength, encrypt, decrypt } from '../static/nip44.js';
import { publicKey } from '../static/event.js';
import { sha256 } from '../static/vendor/noble.js';
import { hex, toBytes, unhex } from '../static/bytes.js';

// The official vectors, as nostrbridge/mail has them.
const v = JSON.parse(readFileSync(new URL('../../nostrbridge/mail/testdata/nip44.json', import.meta.url)));

test('conversation keys', () => {
  assert.ok(v.conversation_key.length >= 30);
  for (const [secret, pubkey, want] of v.conversation_key) assert.equal(hex(conversationKey(unhex(secret), pubkey)), want);
  for (const [secret, pubkey, why] of v.invalid_conversation_key) assert.throws(() => conversationKey(unhex(secret), pubkey), why);
});

test('message keys', () => {
  for (const [conversation, nonce, key, chachaNonce, auth] of v.message_keys) {
    const k = messageKeys(unhex(conversation), unhex(nonce));
    assert.deepEqual([hex(k.key), hex(k.nonce), hex(k.auth)], [key, chachaNonce, auth]);
  }
});

test('padding', () => {
  for (const [size, want] of v.padded) assert.equal(paddedLength(size), want);
});

test('encryption and decryption', () => {
  for (const [one, other, conversation, nonce, text, payload] of v.encrypt_decrypt) {
    assert.equal(hex(conversationKey(unhex(one), publicKey(unhex(other)))), conversation);
    assert.equal(encrypt(text, unhex(conversation), unhex(nonce)), payload);
    assert.equal(decrypt(payload, unhex(conversation)), text);
  }
});

test('long texts', () => {
  for (const [conversation, nonce, pattern, repeat, textSum, payloadSum] of v.encrypt_long) {
    const text = pattern.repeat(repeat);
    assert.equal(hex(sha256(toBytes(text))), textSum);
    const payload = encrypt(text, unhex(conversation), unhex(nonce));
    assert.equal(hex(sha256(toBytes(payload))), payloadSum);
    assert.equal(decrypt(payload, unhex(conversation)), text);
  }
});

test('what must not open', () => {
  assert.ok(v.invalid_decrypt.length >= 10);
  for (const [conversation, text, payload, why] of v.invalid_decrypt) assert.throws(() => decrypt(payload, unhex(conversation)), `${why} ${text}`);
  const key = unhex('c41c775356fd92eadc63ff5a0dc1da211b268cbea22316767095b2871ea1412d');
  assert.throws(() => encrypt('', key));
  assert.throws(() => encrypt('x'.repeat(65536), key));
});
