// Says and reads notes at relays as a Nostr app does, with nostr-tools.
//
//	node note.mjs key                    ana's public key
//	node note.mjs post URL TEXT [TOPIC]  says it, as ana, and prints its id
//	node note.mjs hear URL TEXT          waits for a note of ana's that says TEXT
//	node note.mjs count URL TEXT         how many notes of ana's say it
import { createHash } from 'node:crypto'
import WebSocket from 'ws'
import { finalizeEvent, getPublicKey, verifyEvent } from 'nostr-tools/pure'
import { Relay, useWebSocketImplementation } from 'nostr-tools/relay'
import { npubEncode } from 'nostr-tools/nip19'

useWebSocketImplementation(WebSocket)

const secret = new Uint8Array(createHash('sha256').update('drey e2e ana').digest())
const ana = getPublicKey(secret)
const [what, url, text, topic] = process.argv.slice(2)

// read hands each note of ana's to see, until it returns true or all stored
// ones were seen and stored returns true.
async function read(relay, see, stored) {
  await new Promise((resolve, reject) => {
    relay.subscribe([{ kinds: [1], authors: [ana] }], {
      onevent: e => { if (verifyEvent(e) && see(e)) resolve() },
      oneose: () => { if (stored()) resolve() },
      onclose: why => reject(new Error(why)),
    })
  })
}

// signIn shows ana's key where the relay asks: strangers read the guests'
// topics alone.
async function signIn(relay) {
  for (let i = 0; !relay.challenge && i < 200; i++) await new Promise(r => setTimeout(r, 10))
  await relay.auth(async t => finalizeEvent(t, secret))
}

if (what === 'key') {
  console.log(npubEncode(ana))
  process.exit(0)
}
const relay = await Relay.connect(url)
switch (what) {
  case 'post': {
    const note = finalizeEvent({ kind: 1, content: text, tags: topic ? [['t', topic]] : [], created_at: Math.floor(Date.now() / 1000) }, secret)
    await relay.publish(note)
    console.log(note.id)
    break
  }
  case 'hear':
    await signIn(relay)
    await read(relay, e => e.content === text, () => { console.log('listening') })
    console.log('heard')
    break
  case 'count': {
    let n = 0
    await read(relay, e => { if (e.content === text) n++ }, () => true)
    console.log(n)
  }
}
process.exit(0)
