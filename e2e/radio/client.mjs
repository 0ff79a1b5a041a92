// The official client as a program: "client.mjs tcp HOST PORT" or "client.mjs
// serial PATH". It connects, tells what it learnt as JSON lines, and answers
// every text that ends in "?" with the text that stands in ANSWER. When it has
// the radio's account it says where it is: POSITION, in degrees north and east.
// A text "channel NAME" has it make channel 2 of that name.
import { MeshDevice, Protobuf, Types } from '@meshtastic/core'

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
    if (process.env.POSITION) tellPosition(...process.env.POSITION.split(',').map(Number))
  }
})
on('onPositionPacket', (p) => say({ event: 'position', num: p.from, north: p.data.latitudeI, east: p.data.longitudeI }))

async function attempt(what, f) {
  try {
    say({ event: what, id: await f() })
  } catch (e) {
    say({ event: 'failed', error: what + ' ' + String(e?.error ?? e) })
  }
}

function tellPosition(north, east) {
  const p = new DataView(new ArrayBuffer(10)) // Position: latitude_i 1, longitude_i 2, both sfixed32
  p.setUint8(0, 1 << 3 | 5)
  p.setInt32(1, Math.round(north * 1e7), true)
  p.setUint8(5, 2 << 3 | 5)
  p.setInt32(6, Math.round(east * 1e7), true)
  attempt('position sent', () => device.sendPacket(
    new Uint8Array(p.buffer), Protobuf.Portnums.PortNum.POSITION_APP, 'broadcast', 0, true, false))
}

function makeChannel(name) {
  const settings = { name, psk: new Uint8Array(32).fill(7) }
  attempt('channel set', () => device.setChannel({ index: 2, role: Protobuf.Channel.Channel_Role.SECONDARY, settings }))
}

on('onMessagePacket', async (m) => {
  say({ event: 'text', from: m.from, id: m.id, channel: m.channel, text: m.data })
  if (m.data.startsWith('channel ')) return makeChannel(m.data.slice(8))
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
