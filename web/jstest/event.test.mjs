import test from 'node:test';
import assert from 'node:assert/strict';
import * as event from '../static/event.js';
import { bech32, unbech32, hex, unhex, base64, unbase64, byteLength } from '../static/bytes.js';

const secret = unhex('67dea2ed018072d675f5415ecfaed7d2597555e202d85b3d65ea4e58d2d92ffa');

test('keys are written as NIP-19 has them', () => {
  assert.equal(bech32('nsec', secret), 'nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5');
  assert.equal(bech32('npub', unhex('7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e')), 'npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg');
  assert.deepEqual(unbech32('nsec', 'NSEC1VL029MGPSPEDVA04G90VLTKH6FVH240ZQTV9K0T9AF8935KE9LAQSNLFE5'), secret);
  for (const wrong of ['', 'nsec1', 'npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg', 'nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe6', 'Nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5']) {
    assert.throws(() => unbech32('nsec', wrong), wrong);
  }
});

test('what is signed verifies, and nothing that was changed does', () => {
  for (const content of ['plain', '"\\\b\f\n\r\t\x01\x1f\u007f\u2028\u2029<>&', '👩‍👩‍👧 العربية', '']) {
    const e = event.sign({ kind: 1, created_at: 1700000000, tags: [['t', 'commons'], ['x', content]], content }, secret);
    assert.ok(event.verify(e), JSON.stringify(content));
    for (const change of [{ content: `${content}.` }, { created_at: 1700000001 }, { kind: 2 }, { tags: [] }, { id: '0'.repeat(64) }, { sig: '0'.repeat(128) }, { pubkey: 'f'.repeat(64) }, { sig: undefined }]) {
      assert.ok(!event.verify({ ...e, ...change }), JSON.stringify(change));
    }
  }
});

test('half characters never reach the wire', () => {
  const e = event.sign({ kind: 1, created_at: 1, tags: [], content: 'a\ud83d b \ude00 \ud83d\ude00' }, secret);
  assert.equal(e.content, 'a\ufffd b \ufffd \ud83d\ude00');
  assert.ok(event.verify(e));
  assert.equal(byteLength(e.content), 1 + 3 + 3 + 3 + 1 + 4);
});

test('bytes have one spelling', () => {
  assert.equal(hex(unhex('00ff10')), '00ff10');
  for (const bad of ['0', 'FF', 'zz', null]) assert.throws(() => unhex(bad));
  assert.throws(() => unhex('00', 32));
  assert.deepEqual(unbase64(base64(Uint8Array.of(1, 2, 3, 4))), Uint8Array.of(1, 2, 3, 4));
  for (const bad of ['AQ', 'AQ==\n', 'AR==', '====', 'A!==']) assert.throws(() => unbase64(bad), bad);
});

test('the form of events is checked', () => {
  const good = event.sign({ kind: 1, created_at: 1, tags: [], content: '' }, secret);
  assert.equal(event.formFault(good), '');
  for (const [change, fault] of [[{ kind: 65536 }, 'kind'], [{ kind: 1.5 }, 'kind'], [{ created_at: -1 }, 'created_at'], [{ created_at: 2 ** 32 }, 'created_at'],
    [{ tags: [1] }, 'tags'], [{ tags: [[1]] }, 'tags'], [{ tags: Array(101).fill(['a']) }, 'tags'], [{ content: null }, 'content'], [{ pubkey: good.pubkey.toUpperCase() }, 'pubkey'], [{ id: '' }, 'id']]) {
    assert.equal(event.formFault({ ...good, ...change }), fault);
  }
  for (const v of [null, [], 'x', 1]) assert.notEqual(event.formFault(v), '');
});
