// Node.js 18 has Web Crypto, but not where scripts of the web look for it.
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto;
globalThis.CryptoKey ??= webcrypto.CryptoKey;
