// What the death of its VM leaves of a MicroVM: where it may be afterwards, and what it must have lost then.
import { mayBe, type Place, type VmEntry } from './ledger.ts';
import type { ActKind } from './plan.ts';

export interface Blow {
  policy: 'end' | 'restore';
  /** `host`: the server died with it, and takes up anew what it had acknowledged. */
  with: 'VMM' | 'host';
  /** What was happening to it: over, undone or not begun yet. */
  act: ActKind | undefined;
  /** Requests come all the time: the next one wakes it. */
  requests: boolean;
}

/** Its VM was ended by force; of what was asked of it before, only its end may still come about by itself. */
export function struck(entry: VmEntry, blow: Blow): void {
  const { act, policy } = blow;
  if (!mayBe(entry, 'RUNNING') && act === undefined) return;
  const canGoBack = policy === 'restore' && entry.atLastSleep !== undefined;
  entry.mayBe = placesAfter(entry, blow, canGoBack);
  entry.disturbed = true;
  const [asked, answered] = [new Set(entry.asked), new Set(entry.answered)];
  entry.strike = { canGoBack, asked, answered, during: act ?? 'nothing' };
}

function placesAfter(entry: VmEntry, { with: what, act, requests }: Blow, canGoBack: boolean): Place[] {
  const lost: Place[] = canGoBack ? ['SUSPENDED'] : ['TERMINATED'];
  const byHost = <T extends Place>(...places: T[]): T[] => (what === 'host' ? places : []);
  const still = (place: Place): Place[] => (mayBe(entry, place) ? [place] : []);
  const places: Record<ActKind, Place[]> = {
    launch: [...still('none'), ...byHost('RUNNING'), 'TERMINATED'],
    // Its snapshot may have been whole.
    suspend: ['SUSPENDED', ...lost],
    // Its snapshot stays when it has not run yet.
    resume: ['SUSPENDED', ...byHost('RUNNING'), ...lost],
    // Acknowledged or on its way to a server that lives, unless that died too.
    terminate: ['TERMINATED', ...(what === 'host' ? [...still('SUSPENDED'), ...lost] : [])],
    ...{ build: lost, gc: lost },
  };
  if (act !== undefined) return [...new Set(places[act])];
  return canGoBack && requests ? [...lost, 'RUNNING'] : lost;
}

/**
 * `times`: how often its record says, now that it is at rest, that it went back to its last sleep. Takes what it must have lost then out of what it must
 * have. Sentences about what cannot be.
 */
export function wentBack(entry: VmEntry, times: number): string[] {
  if (times === entry.wentBack) return [];
  const { strike, wentBack: before } = entry;
  entry.wentBack = times;
  if (!strike?.canGoBack || times !== before + 1) {
    return [
      `its record says that it went back ${times} times, ${before} were known, and its VM was ${strike ? `killed during ${strike.during}` : 'not killed'}`,
    ];
  }
  // It used something as one that sleeps.
  entry.sleeps += 1;
  const kept = entry.atLastSleep ?? new Set();
  for (const mark of strike.answered) if (!kept.has(mark)) entry.gone.add(mark);
  // What was sent before and answered about then may be either.
  const since = [...entry.answered].filter((mark) => !strike.asked.has(mark));
  entry.answered = new Set([...kept, ...since]);
  return [];
}
