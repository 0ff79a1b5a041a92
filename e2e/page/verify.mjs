// Reads NIP-01 events, one a line, and writes "ok ID" or "bad REASON" for each:
// the judgement of an implementation that shares no code with ours.
import { createInterface } from 'node:readline'
import { getEventHash, validateEvent, verifyEvent } from 'nostr-tools/pure'

for await (const line of createInterface({ input: process.stdin })) {
  const event = JSON.parse(line)
  if (!validateEvent(event)) console.log('bad form')
  else if (getEventHash(event) !== event.id) console.log('bad id', event.id, 'want', getEventHash(event))
  else if (!verifyEvent(event)) console.log('bad signature', event.id)
  else console.log('ok', event.id)
}
