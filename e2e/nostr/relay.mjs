// Uses a node's relay as a Nostr app does, with nostr-tools.
//
//	node relay.mjs keys                  the public keys of ana and ben
//	node relay.mjs basics URL            publish, subscribe, delete, auth, gift wraps
//	node relay.mjs sync URL N            posts N notes, fetches them by reconciliation, and again
//	node relay.mjs hear URL TEXT         waits for a note that says TEXT, as ben
//	node relay.mjs post URL TEXT         says it, as ana
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import WebSocket from 'ws'
import { finalizeEvent, getPublicKey, verifyEvent } from 'nostr-tools/pure'
import { Relay, useWebSocketImplementation } from 'nostr-tools/relay'
import { npubEncode } from 'nostr-tools/nip19'
import { fetchRelayInformation } from 'nostr-tools/nip11'
import * as nip17 from 'nostr-tools/nip17'
// The package has this part but does not name it among its exports.
import { NegentropyStorageVector, NegentropySync } from './node_modules/nostr-tools/lib/esm/nip77.js'

useWebSocketImplementation(WebSocket)

const secret = name => new Uint8Array(createHash('sha256').update('drey e2e ' + name).digest())
const pub = name => getPublicKey(secret(name))
const now = () => Math.floor(Date.now() / 1000)
const sign = (name, kind, content, tags = []) => finalizeEvent({ kind, content, tags, created_at: now() }, secret(name))

// connect opens a relay, in somebody's name if there is one.
async function connect(url, name) {
  const relay = await Relay.connect(url)
  relay.publishTimeout = 60_000 // signing holds its clock up
  if (name) {
    for (let i = 0; !relay.challenge && i < 200; i++) await new Promise(r => setTimeout(r, 10))
    await relay.auth(async t => finalizeEvent(t, secret(name)))
  }
  return relay
}

// query returns what is stored, or throws the reason of CLOSED.
function query(relay, ...filters) {
  return new Promise((resolve, reject) => {
    const got = []
    const sub = relay.subscribe(filters, {
      onevent: e => got.push(e),
      oneose: () => { resolve(got); sub.close() },
      onclose: why => reject(new Error(why)),
      eoseTimeout: 60_000, // else it takes what has come for all
    })
  })
}

// reconcile returns the ids that the relay has of a filter and known lacks, and
// the other way round (NIP-77).
function reconcile(relay, filter, known) {
  const storage = new NegentropyStorageVector()
  for (const e of known) storage.insert(e.created_at, e.id)
  storage.seal()
  const need = [], have = []
  return new Promise((resolve, reject) => {
    const sync = new NegentropySync(relay, storage, filter, {
      onneed: id => need.push(id),
      onhave: id => have.push(id),
      onclose: why => why ? reject(new Error(why)) : resolve({ need, have }),
    })
    const { oncustom } = sync.subscription // which keeps a relay's reason to itself
    sync.subscription.oncustom = m => m[0] === 'NEG-ERR' ? reject(new Error(m[2])) : oncustom(m)
    sync.start().catch(reject)
  })
}

const refused = (promise, how) => assert.rejects(promise, e => { assert.match(String(e.message ?? e), how); return true })

async function basics(url) {
  const ana = await connect(url), ben = await connect(url, 'ben'), carl = await connect(url)

  const info = await (await fetch(url.replace('ws', 'http'), { headers: { Accept: 'application/nostr+json' } })).json()
  assert.deepEqual(info.supported_nips, [1, 2, 9, 11, 17, 40, 42, 45, 50, 59, 65, 70, 77])
  assert.equal(info.name, (await fetchRelayInformation(url)).name)

  // Publish and subscribe.
  const live = []
  let heard
  const first = new Promise(resolve => { heard = resolve })
  await new Promise(resolve => ben.subscribe([{ kinds: [1] }], { onevent: e => { live.push(e); heard() }, oneose: resolve }))
  const note = sign('ana', 1, 'from nostr-tools \u2028 "quoted" 👩‍👩‍👧')
  await ana.publish(note)
  await first
  assert.equal(live[0].id, note.id)
  assert.ok(verifyEvent(live[0]))
  const [stored] = await query(carl, { ids: [note.id] })
  assert.ok(verifyEvent(stored))
  await ana.publish(note) // a duplicate is well

  // Profiles, contacts, relay lists: the newest counts.
  for (const kind of [0, 3, 10002]) {
    await ana.publish(sign('ana', kind, '{"name":"ana"}', [['p', pub('ben')]]))
    assert.equal((await query(ben, { kinds: [kind], authors: [pub('ana')] })).length, 1)
  }
  assert.equal(await ben.count([{ kinds: [1], authors: [pub('ana')] }], {}), 1)

  // A search finds what may be seen, in any script, and not what was deleted.
  const bread = sign('ana', 1, 'Fresh BREAD at the mill'), burmese = sign('ana', 1, 'ပေါင်မုန့်ရှိတယ်')
  for (const e of [bread, burmese]) await ana.publish(e)
  assert.deepEqual((await query(carl, { search: 'mill bread', limit: 5 })).map(e => e.id), [bread.id])
  assert.deepEqual((await query(carl, { search: 'မုန့်' })).map(e => e.id), [burmese.id])
  assert.deepEqual(await query(carl, { search: '" OR NEAR(* bread"' }), [])
  await ana.publish(sign('ana', 5, '', [['e', bread.id]]))
  assert.deepEqual(await query(carl, { search: 'bread' }), [])

  // Reconciliation tells both differences.
  const { need, have } = await reconcile(carl, { kinds: [1], authors: [pub('ana')] }, [burmese, bread])
  assert.deepEqual(need, [note.id])
  assert.deepEqual(have, [bread.id])

  // A forged event is refused with the reason.
  await refused(ana.publish({ ...note, content: 'forged' }), /^invalid: /)

  // Deletion: gone, and it does not come back.
  await ben.publish(sign('ben', 5, '', [['e', note.id]]))
  assert.equal((await query(carl, { ids: [note.id] })).length, 1)
  await ana.publish(sign('ana', 5, '', [['e', note.id]]))
  assert.equal((await query(carl, { ids: [note.id] })).length, 0)
  await refused(carl.publish(note), /^blocked: its author deleted it/)

  // A guest gets a pass by writing, for the guests' topics alone.
  await carl.publish(sign('carl', 1, 'I am new here'))
  await refused(carl.publish(sign('carl', 33739, '', [['d', 'mine']])), /^restricted: /)

  // A gift wrap is for its recipient alone, and opens there.
  const wrap = nip17.wrapEvent(secret('ana'), { publicKey: pub('ben') }, 'just for you')
  await carl.publish(wrap)
  await refused(query(carl, { kinds: [1059], '#p': [pub('ben')] }), /^auth-required: /)
  const [mail] = await query(ben, { kinds: [1059], '#p': [pub('ben')] })
  const rumor = nip17.unwrapEvent(mail, secret('ben'))
  assert.equal(rumor.content, 'just for you')
  assert.equal(rumor.pubkey, pub('ana'))
  const asAna = await connect(url, 'ana')
  await refused(query(asAna, { kinds: [1059], '#p': [pub('ben')] }), /^restricted: /)
  assert.equal((await query(asAna, { ids: [wrap.id] })).length, 0)
  await refused(reconcile(carl, { kinds: [1059] }, []), /^auth-required: /)
  assert.deepEqual((await reconcile(asAna, { ids: [wrap.id] }, [])).need, [])
  assert.deepEqual((await reconcile(ben, { ids: [wrap.id] }, [])).need, [wrap.id])
  assert.equal(await asAna.count([{ ids: [wrap.id] }], {}), 0)

  // A protected event is taken from its author alone, who has shown his key.
  const secretNote = sign('ana', 1, 'inside', [['-']])
  await refused(carl.publish(secretNote), /^auth-required: /)
  await asAna.publish(secretNote)
  assert.equal((await query(carl, { ids: [secretNote.id] })).length, 0)
  assert.equal((await query(ben, { ids: [secretNote.id] })).length, 1)
  for (const r of [ana, ben, carl, asAna]) r.close()
}

async function sync(url, n) {
  const ana = await connect(url, 'ana')
  for (let i = 0; i < n; i += 100) {
    await Promise.all(Array.from({ length: Math.min(100, n - i) }, (_, j) => ana.publish(sign('ana', 1, `note ${i + j} of ${n}`))))
  }
  const relay = await connect(url), filter = { kinds: [1], authors: [pub('ana')] }, known = []
  let began = performance.now()
  const { need } = await reconcile(relay, filter, [])
  const batches = []
  for (let i = 0; i < need.length; i += 250) batches.push(query(relay, { ids: need.slice(i, i + 250) }))
  for (const batch of await Promise.all(batches)) known.push(...batch)
  const first = performance.now() - began
  assert.equal(known.length, +n)
  began = performance.now()
  const again = await reconcile(relay, filter, known)
  assert.deepEqual(again, { need: [], have: [] })
  console.log(`${n} notes: first ${first.toFixed(0)} ms, again ${(performance.now() - began).toFixed(0)} ms`)
}

async function hear(url, text) {
  const relay = await connect(url, 'ben')
  await new Promise((resolve, reject) => {
    relay.subscribe([{ kinds: [1], authors: [pub('ana')] }], {
      onevent: e => { if (e.content === text && verifyEvent(e)) resolve() },
      oneose: () => console.log('listening'),
      onclose: why => reject(new Error(why)),
    })
  })
  console.log('heard')
  relay.close()
}

async function post(url, text) {
  const relay = await connect(url)
  await relay.publish(sign('ana', 1, text))
  console.log('posted')
  relay.close()
}

const [what, ...args] = process.argv.slice(2)
if (what === 'keys') console.log(npubEncode(pub('ana')), npubEncode(pub('ben')))
else await { basics, sync, hear, post }[what](...args)
process.exit(0)
