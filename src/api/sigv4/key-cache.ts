// Access keys that were looked up a moment ago: a client sends many requests with one key.
import type { Clock } from '../../lib/clock.ts';
import type { AccessKey, KeyLookup } from './verify.ts';

/** How long a key that was withdrawn is still taken. */
const defaultTtlMs = 1000;
const maxKeys = 10_000;

/** `lookup`, asked at most once in `ttlMs` for each key that exists; keys that do not exist are asked for each time. */
export function cachedKeys(lookup: KeyLookup, clock: Clock, ttlMs = defaultTtlMs): KeyLookup {
  const known = new Map<string, { key: AccessKey; untilMs: number }>();
  return (accessKeyId) => {
    const kept = known.get(accessKeyId);
    if (kept && clock.elapsed() < kept.untilMs) return kept.key;
    known.delete(accessKeyId);
    return Promise.resolve(lookup(accessKeyId)).then((key) => {
      if (known.size >= maxKeys) known.clear();
      if (key) known.set(accessKeyId, { key, untilMs: clock.elapsed() + ttlMs });
      return key;
    });
  };
}
