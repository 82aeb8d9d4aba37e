// What the extension API says of damage, and how a pass is asked for. Concerns all accounts: for the server's own.
import type { Damage, ScrubProgress, ScrubStatus } from '../contract/integrity.ts';
import type { AppContext } from './context.ts';
import { requireServerAccount } from './revoke-tokens.ts';
import type { Caller } from './settings.ts';

/** Times as ISO 8601. */
export interface DamageFacts extends Omit<Damage, 'foundAtMs'> {
  foundAt: string;
}

interface Progress extends Omit<ScrubProgress, 'startedAtMs'> {
  startedAt: string;
}

export interface ScrubFacts extends Pick<ScrubStatus, 'everyDays' | 'mibPerSecond'> {
  underWay?: Progress;
  last?: Progress & { endedAt: string; ledger: { count: number; checksum: string } };
  damage: DamageFacts[];
}

export function scrubFacts(app: AppContext, caller: Caller): ScrubFacts {
  requireServerAccount(app, caller);
  const { underWay, last, damage, ...settings } = app.scrubber.status();
  return {
    ...settings,
    ...(underWay ? { underWay: progress(underWay) } : {}),
    ...(last ? { last: { ...progress(last), endedAt: iso(last.endedAtMs), ledger: last.ledger } } : {}),
    damage: damage.map(damageFacts),
  };
}

/** Begins a pass, in the place of one that is under way; as fast as can be with 0, and at the server's own pace without a number. */
export function startScrub(app: AppContext, caller: Caller, mibPerSecond?: number): ScrubFacts {
  requireServerAccount(app, caller);
  app.scrubber.start(mibPerSecond);
  return scrubFacts(app, caller);
}

export const damageFacts = ({ foundAtMs, ...damage }: Damage): DamageFacts => ({ ...damage, foundAt: iso(foundAtMs) });

const progress = ({ startedAtMs, files, bytes }: ScrubProgress): Progress => ({
  startedAt: iso(startedAtMs),
  files,
  bytes,
});

const iso = (ms: number): string => new Date(ms).toISOString();
