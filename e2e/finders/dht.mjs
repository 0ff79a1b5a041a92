// A node of BitTorrent's distributed table, by the npm package bittorrent-dht:
// node dht.mjs ADDRESS PORT. It stores what it is given once it has checked the
// signature, and says so.
import DHT from 'bittorrent-dht'
import crypto from 'node:crypto'

const head = Buffer.from('302a300506032b6570032100', 'hex') // of an Ed25519 key in DER
const verify = (sig, message, key) => {
  const ok = crypto.verify(null, message, { key: Buffer.concat([head, key]), format: 'der', type: 'spki' }, sig)
  console.log(ok ? 'signature holds' : 'signature does not hold')
  return ok
}
const table = new DHT({ bootstrap: false, verify })
table.on('warning', err => console.log('warning:', err.message))
table.on('error', err => { console.log('error:', err.message); process.exit(1) })
table.listen(Number(process.argv[3]), process.argv[2], () => console.log('listening'))
