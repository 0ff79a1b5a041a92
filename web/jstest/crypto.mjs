// What every browser has, the node of Debian 12 keeps to itself.
import { webcrypto } from 'node:crypto';

globalThis.crypto ??= webcrypto;
