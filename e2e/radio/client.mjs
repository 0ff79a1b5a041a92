// The official client as a program: "client.mjs tcp HOST PORT" or "client.mjs
// serial PATH". It connects, tells what it learnt as JSON lines, and answers
// every text that ends in "?" with the text that stands in ANSWER.
import { MeshDevice, Types } from '@meshtastic/core'

const [, , kind, where, port] = process.argv
const say = (o) => console.log('@' + JSON.stringify(o, (_, v) => (typeof v === 'bigint' ? Number(v) : v)))

let transport
if (kind === 'tcp') {
  const { TransportNode } = await import('@meshtastic/transport-node')
  transport = await TransportNode.create(where, Number(port))
} else {
  const { TransportNodeSerial } = await import('@meshtastic/transport-node-serial')
  transport = await TransportNodeSerial.create(where)
}

const device = new MeshDevice(transport)
device.log.settings.minLevel = 5
const on = (name, f) => device.events[name].subscribe(f)
let started = false
on('onMyNodeInfo', (i) => say({ event: 'me', num: i.myNodeNum }))
on('onNodeInfoPacket', (n) => say({ event: 'node', num: n.num, name: n.user?.longName }))
on('onChannelPacket', (c) => c.role && say({ event: 'channel', index: c.index, name: c.settings?.name, role: c.role }))
on('onConfigPacket', (c) => c.payloadVariant.case === 'lora' &&
  say({ event: 'lora', region: c.payloadVariant.value.region, preset: c.payloadVariant.value.modemPreset, hops: c.payloadVariant.value.hopLimit }))
on('onDeviceMetadataPacket', (m) => say({ event: 'metadata', firmware: m.data.firmwareVersion }))
on('onDeviceStatus', (status) => {
  if (status === Types.DeviceStatusEnum.DeviceConfigured && !started) {
    started = true
    say({ event: 'configured' })
  }
})
on('onMessagePacket', async (m) => {
  say({ event: 'text', from: m.from, id: m.id, channel: m.channel, text: m.data })
  if (!m.data.endsWith('?') || m.from === device.myNodeInfo.myNodeNum) return
  try {
    const id = await device.sendText(process.env.ANSWER, 'broadcast', true, m.channel)
    say({ event: 'acknowledged', id })
  } catch (e) {
    say({ event: 'failed', error: String(e?.error ?? e) })
  }
})

device.configure().catch((e) => say({ event: 'failed', error: String(e?.error ?? e) }))
process.stdin.on('end', () => process.exit(0)).resume()
