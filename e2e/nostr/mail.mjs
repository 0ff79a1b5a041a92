// Private messages as a Nostr app sends and reads them, with nostr-tools.
//
//	node mail.mjs key                        ana's npub
//	node mail.mjs list URL RELAY             says at URL that ana reads her mail at RELAY
//	node mail.mjs send URL KEY TEXT          ana writes to KEY; prints the message's id
//	node mail.mjs read URL TEXT [RECEIPT]    waits for a message to ana that says TEXT and prints its rumor;
//	                                         with RECEIPT, a URL, tells its author there that she has opened it
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import WebSocket from 'ws'
import { finalizeEvent, getEventHash, getPublicKey } from 'nostr-tools/pure'
import { Relay, useWebSocketImplementation } from 'nostr-tools/relay'
import { npubEncode } from 'nostr-tools/nip19'
import * as nip59 from 'nostr-tools/nip59'

useWebSocketImplementation(WebSocket)

const secret = new Uint8Array(createHash('sha256').update('drey e2e ana').digest())
const ana = getPublicKey(secret)
const now = () => Math.floor(Date.now() / 1000)

// wrapped seals a rumor of ana's for one reader.
function wrapped(kind, content, tags, reader) {
  const rumor = nip59.createRumor({ kind, content, tags, created_at: now() }, secret)
  return { id: rumor.id, wrap: nip59.createWrap(nip59.createSeal(rumor, secret, reader), reader) }
}

async function publish(url, event) {
  const relay = await Relay.connect(url)
  await relay.publish(event)
  relay.close()
}

async function read(url, text, receipt) {
  const relay = await Relay.connect(url)
  const signIn = () => relay.auth(async t => finalizeEvent(t, secret))
  const challenged = async tries => {
    for (let i = 0; !relay.challenge && i < tries; i++) await new Promise(r => setTimeout(r, 10))
    return relay.challenge
  }
  if (await challenged(50)) await signIn() // a relay may not ask, or only when it refuses
  const rumor = await new Promise((resolve, reject) => {
    const subscribe = again => relay.subscribe([{ kinds: [1059], '#p': [ana] }], {
      onevent: e => {
        const rumor = nip59.unwrapEvent(e, secret)
        if (rumor.content === text) resolve(rumor)
      },
      onclose: async why => {
        if (again || !why.startsWith('auth-required') || !await challenged(3000)) return reject(new Error(why))
        await signIn()
        subscribe(true)
      },
    })
    subscribe(false)
  })
  assert.equal(rumor.id, getEventHash(rumor))
  assert.equal(rumor.kind, 14)
  assert.deepEqual(rumor.tags, [['p', ana]])
  relay.close()
  if (receipt) await publish(receipt, wrapped(3743, '', [['p', rumor.pubkey], ['e', rumor.id]], rumor.pubkey).wrap)
  return rumor
}

const [what, url, ...rest] = process.argv.slice(2)
switch (what) {
  case 'key':
    console.log(npubEncode(ana))
    break
  case 'list':
    await publish(url, finalizeEvent({ kind: 10050, content: '', tags: [['relay', rest[0]]], created_at: now() }, secret))
    break
  case 'send': {
    const { id, wrap } = wrapped(14, rest[1], [['p', rest[0]]], rest[0])
    await publish(url, wrap)
    console.log(id)
    break
  }
  case 'read':
    console.log(JSON.stringify(await read(url, ...rest)))
    break
  default:
    throw new Error(`unknown: ${what}`)
}
process.exit(0)
