// What the page's scripts sign, seal and open, judged by nostr-tools, and the
// other way round. Run by TestNostrToolsAndThePage.
import test from 'node:test'
import assert from 'node:assert/strict'
import { finalizeEvent, generateSecretKey, getEventHash, getPublicKey, serializeEvent, verifyEvent } from 'nostr-tools/pure'
import * as nip19 from 'nostr-tools/nip19'
import * as nip17 from 'nostr-tools/nip17'
import * as nip44 from 'nostr-tools/nip44'
import * as nip59 from 'nostr-tools/nip59'
import { bech32, unbech32, unhex, hex } from '../../web/static/bytes.js'
import * as event from '../../web/static/event.js'
import { rumor, wrapAll, unwrap } from '../../web/static/gift.js'
import { conversationKey, encrypt, decrypt } from '../../web/static/nip44.js'
import { Own } from '../../web/static/own.js'

const nasty = ['', 'plain', '"\\/\b\f\n\r\t', '\x00\x01\x1f\x7f\x80\x9f', '\u2028\u2029\ufeff', '<>&', '😀👩‍👩‍👧 é é', 'العربية עברית', 'long '.repeat(5000)]
const now = () => Math.floor(Date.now() / 1000)

test('keys are written alike', () => {
  for (let i = 0; i < 50; i++) {
    const secret = event.newSecret()
    assert.equal(event.publicKey(secret), getPublicKey(secret))
    assert.equal(bech32('nsec', secret), nip19.nsecEncode(secret))
    assert.equal(bech32('npub', unhex(getPublicKey(secret))), nip19.npubEncode(getPublicKey(secret)))
    assert.deepEqual(unbech32('nsec', nip19.nsecEncode(secret)), secret)
  }
})

test('events of the page pass there, and theirs here', () => {
  const secret = generateSecretKey()
  for (const content of nasty) {
    const draft = { kind: 1, created_at: now(), tags: [['t', 'commons'], ['x', content], []], content }
    const ours = event.sign(draft, secret)
    assert.equal(event.serialise(ours), serializeEvent(ours))
    assert.equal(getEventHash(ours), ours.id)
    assert.ok(verifyEvent(ours), JSON.stringify(content))
    assert.ok(event.verify(JSON.parse(JSON.stringify(finalizeEvent(draft, secret)))), JSON.stringify(content))
  }
})

test('profiles and notes of the own key pass there', () => {
  const m = new Map()
  const own = new Own({ getItem: (k) => m.get(k) ?? null, setItem: (k, v) => m.set(k, v), removeItem: (k) => m.delete(k) })
  own.make()
  assert.ok(verifyEvent(own.rename('Ana', now())))
  assert.ok(verifyEvent(own.note({ topic: 'commons', text: 'hello' }, now())))
})

test('what is sealed there opens here, and the other way', () => {
  const [a, b] = [generateSecretKey(), generateSecretKey()]
  for (const text of nasty.filter((t) => t)) {
    const theirs = nip44.getConversationKey(a, getPublicKey(b))
    const ours = conversationKey(b, getPublicKey(a))
    assert.equal(hex(ours), hex(theirs))
    assert.equal(decrypt(nip44.encrypt(text, theirs), ours), text)
    assert.equal(nip44.decrypt(encrypt(text, ours), theirs), text)
  }
})

test('gift wraps open in both directions and keep their name', () => {
  const [a, b] = [generateSecretKey(), generateSecretKey()]
  for (const text of nasty) {
    const message = rumor({ kind: 14, created_at: now(), tags: [['p', getPublicKey(b)]], content: text }, getPublicKey(a))
    const wraps = wrapAll(message, a, now())
    for (const w of wraps) assert.ok(verifyEvent(w))
    const opened = nip59.unwrapEvent(wraps[0], b)
    assert.equal(opened.id, message.id)
    assert.equal(opened.content, message.content)
    assert.equal(nip17.unwrapEvent(wraps[1], a).id, message.id)
    if (!text) continue
    for (const [w, secret] of [[nip17.wrapEvent(b, { publicKey: getPublicKey(a) }, text), a], [nip17.wrapEvent(b, { publicKey: getPublicKey(b) }, text), b]]) {
      const r = unwrap(JSON.parse(JSON.stringify(w)), secret)
      assert.equal(r.content, text)
      assert.equal(r.pubkey, getPublicKey(b))
      assert.equal(r.id, getEventHash(r))
    }
  }
})
