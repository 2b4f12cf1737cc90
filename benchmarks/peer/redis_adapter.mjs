// What the peer keeps, in Redis. Each object is a string of JSON that goes when its life is over.
// That it was spent is a key of its own beside it, so that spending needs no reading.

import { Redis } from 'ioredis';

const FOREVER_SECONDS = 30 * 86400;

const connection = new Redis(process.env.PEER_REDIS_URL, { enableAutoPipelining: true });

const nameOf = (...parts) => parts.join('|');

export class RedisAdapter {
  constructor(kind) {
    this.kind = kind;
  }

  #object(id) {
    return nameOf('peer', this.kind, id);
  }

  #spent(id) {
    return nameOf(this.#object(id), 'spent');
  }

  async upsert(id, payload, seconds = FOREVER_SECONDS) {
    const writes = [connection.set(this.#object(id), JSON.stringify(payload), 'EX', seconds)];
    if (this.kind === 'Session') {
      writes.push(connection.set(nameOf('peer', 'session-of', payload.uid), id, 'EX', seconds));
    }
    if (payload.userCode) {
      writes.push(connection.set(nameOf('peer', 'code-of', payload.userCode), id, 'EX', seconds));
    }
    if (payload.grantId) {
      const family = nameOf('peer', 'family', payload.grantId);
      writes.push(connection.sadd(family, this.#object(id)));
      writes.push(connection.expire(family, FOREVER_SECONDS));
    }
    await Promise.all(writes);
  }

  async find(id) {
    const [text, spent] = await connection.mget(this.#object(id), this.#spent(id));
    if (text === null) return undefined;
    const payload = JSON.parse(text);
    if (spent !== null) payload.consumed = Number(spent);
    return payload;
  }

  async findByUid(uid) {
    const id = await connection.get(nameOf('peer', 'session-of', uid));
    return id === null ? undefined : this.find(id);
  }

  async findByUserCode(code) {
    const id = await connection.get(nameOf('peer', 'code-of', code));
    return id === null ? undefined : this.find(id);
  }

  async consume(id) {
    const now = Math.floor(Date.now() / 1000);
    await connection.set(this.#spent(id), now, 'EX', FOREVER_SECONDS);
  }

  async destroy(id) {
    await connection.del(this.#object(id), this.#spent(id));
  }

  async revokeByGrantId(grantId) {
    const family = nameOf('peer', 'family', grantId);
    const objects = await connection.smembers(family);
    await connection.del(family, ...objects, ...objects.map((name) => nameOf(name, 'spent')));
  }
}
