// Bytes as the wire writes them: hex, base64, UTF-8, bech32. Pure.

const utf8 = new TextEncoder();
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export const toBytes = (text) => utf8.encode(text);

// fromBytes reads UTF-8 and throws where it is none.
export const fromBytes = (bytes) => strict.decode(bytes);

export const byteLength = (text) => utf8.encode(text).length;

export function hex(bytes) {
  let s = '';
  for (const b of bytes) s += b.toString(16).padStart(2, '0');
  return s;
}

// unhex reads lower-case hexadecimal digits of exactly size bytes.
export function unhex(text, size) {
  if (typeof text !== 'string' || !/^([0-9a-f]{2})*$/.test(text)) throw new Error('not lower-case hexadecimal');
  if (size !== undefined && text.length !== 2 * size) throw new Error(`${text.length / 2} bytes, want ${size}`);
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return out;
}

export function concat(...parts) {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

export function base64(bytes) {
  let s = '';
  for (let i = 0; i < bytes.length; i += 8192) s += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(s);
}

// unbase64 reads standard base64 with its padding, and nothing that another
// spelling of the same bytes would be.
export function unbase64(text) {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4) throw new Error('not base64');
  const s = atob(text);
  const out = new Uint8Array(s.length);
  for (let i = 0; i < s.length; i++) out[i] = s.charCodeAt(i);
  if (base64(out) !== text) throw new Error('not base64');
  return out;
}

// equal compares without telling where the difference is.
export function equal(a, b) {
  if (a.length !== b.length) return false;
  let d = 0;
  for (let i = 0; i < a.length; i++) d |= a[i] ^ b[i];
  return d === 0;
}

const letters = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';

function polymod(values) {
  const gen = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
  let c = 1;
  for (const v of values) {
    const top = c >>> 25;
    c = ((c & 0x1ffffff) << 5) ^ v;
    for (let i = 0; i < 5; i++) if ((top >>> i) & 1) c ^= gen[i];
  }
  return c;
}

const expand = (prefix) => [...[...prefix].map((c) => c.charCodeAt(0) >> 5), 0, ...[...prefix].map((c) => c.charCodeAt(0) & 31)];

function regroup(values, from, to, pad) {
  let acc = 0;
  let bits = 0;
  const out = [];
  for (const v of values) {
    acc = ((acc << from) | v) & 0xfff;
    bits += from;
    while (bits >= to) {
      bits -= to;
      out.push((acc >> bits) & ((1 << to) - 1));
    }
  }
  if (pad && bits) out.push((acc << (to - bits)) & ((1 << to) - 1));
  if (!pad && (bits >= from || (acc << (to - bits)) & ((1 << to) - 1))) throw new Error('bech32: padding');
  return out;
}

// bech32 writes 32 bytes as NIP-19 does: npub1…, nsec1…
export function bech32(prefix, bytes) {
  const data = regroup(bytes, 8, 5, true);
  const c = polymod([...expand(prefix), ...data, 0, 0, 0, 0, 0, 0]) ^ 1;
  for (let i = 0; i < 6; i++) data.push((c >>> (5 * (5 - i))) & 31);
  return `${prefix}1${data.map((v) => letters[v]).join('')}`;
}

// unbech32 reads 32 bytes of the given prefix.
export function unbech32(prefix, text) {
  if (text !== text.toLowerCase() && text !== text.toUpperCase()) throw new Error('bech32: mixed case');
  const s = text.toLowerCase();
  if (!s.startsWith(`${prefix}1`) || s.length !== prefix.length + 59) throw new Error(`this does not look like ${prefix}1…`);
  const data = [...s.slice(prefix.length + 1)].map((c) => letters.indexOf(c));
  if (data.includes(-1) || polymod([...expand(prefix), ...data]) !== 1) throw new Error('bech32: a letter is wrong or missing');
  return Uint8Array.from(regroup(data.slice(0, -6), 5, 8, false));
}
