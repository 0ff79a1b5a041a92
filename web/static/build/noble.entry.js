// What the page needs of the noble libraries, and nothing else of them.
export { schnorr, secp256k1 } from '@noble/curves/secp256k1.js';
export { sha256 } from '@noble/hashes/sha2.js';
export { hmac } from '@noble/hashes/hmac.js';
export { extract, expand } from '@noble/hashes/hkdf.js';
export { chacha20 } from '@noble/ciphers/chacha.js';
