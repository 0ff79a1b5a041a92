import test from 'node:test';
import assert from 'node:assert/strict';
import { rumor, wrap, wrapAll, unwrap, somewhen } from '../static/gift.js';
import { kinds, newSecret, publicKey, sign, verify, idOf } from '../static/event.js';
import { conversationKey, encrypt } from '../static/nip44.js';

const ana = newSecret();
const ben = newSecret();
const now = 1800000000;
const A = publicKey(ana);
const B = publicKey(ben);
const note = rumor({ kind: kinds.privateNote, created_at: now, tags: [['p', B]], content: 'the key is under the mat' }, A);

test('a wrap opens for its reader and keeps its name', () => {
  const all = wrapAll(note, ana, now);
  assert.equal(all.length, 2);
  assert.deepEqual(unwrap(all[0], ben), note);
  assert.deepEqual(unwrap(all[1], ana), note);
  assert.notEqual(all[0].pubkey, all[1].pubkey);
  for (const w of all) {
    assert.ok(verify(w));
    assert.ok(w.created_at <= now && w.created_at > now - 2 * 24 * 3600);
    assert.ok(!JSON.stringify(w).includes(A) || w === all[1]);
  }
});

test('dates of wraps lie within two days past', () => {
  assert.equal(somewhen(now, 0), now);
  assert.equal(somewhen(now, 2 * 24 * 3600 - 1), now - 2 * 24 * 3600 + 1);
  assert.equal(somewhen(now, 2 * 24 * 3600), now);
  assert.equal(somewhen(5, 4000), 0);
  for (let i = 0; i < 1000; i++) assert.ok(somewhen(now) <= now && somewhen(now) > now - 172800);
});

// seal and enclose build what an attacker would.
const seal = (inner, secret, to, change = {}) => sign({ kind: 13, created_at: now, tags: [], content: encrypt(typeof inner === 'string' ? inner : JSON.stringify(inner), conversationKey(secret, to)), ...change }, secret);
const enclose = (inner, to) => {
  const once = newSecret();
  return sign({ kind: 1059, created_at: now, tags: [['p', to]], content: encrypt(typeof inner === 'string' ? inner : JSON.stringify(inner), conversationKey(once, to)) }, once);
};

test('what is not as NIP-59 has it is refused', () => {
  const mallory = newSecret();
  const forged = rumor({ kind: 14, created_at: now, tags: [['p', B]], content: 'I am Ana' }, A);
  const good = seal(note, ana, B);
  for (const [why, w] of Object.entries({
    'another author': enclose(seal(forged, mallory, B), B),
    'has tags': enclose(seal(note, ana, B, { tags: [['p', B]] }), B),
    'has kind': enclose(seal(note, ana, B, { kind: 1 }), B),
    'seal is not whole': enclose({ ...good, sig: '0'.repeat(128) }, B),
    'wrong id': enclose(seal({ ...note, content: 'x' }, ana, B), B),
    'is signed': enclose(seal(sign({ kind: 14, created_at: now, tags: [], content: 'public once' }, ana), ana, B), B),
    'is not JSON': enclose('{', B),
    'malformed': enclose(seal({ ...note, tags: 'x' }, ana, B), B),
    'somebody else': wrap(note, ana, A, now),
    'wrap is not whole': { ...wrap(note, ana, B, now), content: 'x' },
  })) {
    assert.throws(() => unwrap(w, ben), new RegExp(why), why);
  }
});

test('unknown fields of a message go no further', () => {
  const odd = { ...note, html: '<script>' };
  assert.equal(idOf(odd), note.id);
  assert.deepEqual(unwrap(enclose(seal(odd, ana, B), B), ben), note);
});
