// What a MicroVM's row has to become when its host has something else than the row says. The wish stays what it is: convergence does the rest.
import type { NodeMicrovm } from '../contract/node-api.ts';
import type { MicrovmChange } from '../store/microvms.ts';
import type { MicrovmRow } from '../store/tables.ts';
import { ended } from './change-state.ts';
import { readReport, whyBack, withLaunch, withRestart, withSuspend } from './report.ts';
import type { AppSettings } from './settings.ts';

/** What is known of a MicroVM beside its row. */
export interface Reality {
  /** Undefined: the host has nothing of it. */
  host: NodeMicrovm | undefined;
  /** Why it does not run although it did, as a sentence, where that is known. */
  why: string | undefined;
  nowMs: number;
  lostVms: AppSettings['lostVms'];
}

const unknownWhy = ({ state }: MicrovmRow): string =>
  state === 'RUNNING' || state === 'SUSPENDING'
    ? 'The host does not run it any more: it was started anew, or the virtual machine monitor was ended.'
    : 'The host does not have it any more.';

/** Undefined when the row is right, or becomes right by what it wishes for. One call more may be needed: RUNNING becomes SUSPENDED by way of SUSPENDING. */
export function correction(row: MicrovmRow, reality: Reality): MicrovmChange | undefined {
  const { host, nowMs } = reality;
  if (row.state === 'TERMINATING' || row.state === 'TERMINATED') return undefined;
  switch (host?.state) {
    case 'recovering':
      return undefined;
    case 'running':
      return runs(row, host, nowMs);
    case 'asleep':
      return sleeps(row, host, reality);
    case undefined:
      // A launch that nobody has seen end is done again.
      return row.state === 'PENDING' && row.launchedAtMs === null ? undefined : lost(row, reality);
  }
}

function runs(row: MicrovmRow, { snapshot }: NodeMicrovm, nowMs: number): MicrovmChange | undefined {
  if (row.state === 'RUNNING') return undefined;
  // The sleep was cut off. One that only the end of the server was the reason for is given up, any other is begun again.
  if (row.state === 'SUSPENDING') {
    return row.suspendCause === 'shutdown' ? { state: 'RUNNING', wish: 'RUNNING', suspendCause: null } : undefined;
  }
  const launchedAtMs = row.launchedAtMs ?? nowMs;
  const report = withLaunch(row, row.launchedAtMs === null ? 'launch' : 'wake', snapshot);
  return { state: 'RUNNING', stateReason: whyBack(row), suspendedAtMs: null, launchedAtMs, report };
}

function sleeps(row: MicrovmRow, { snapshot }: NodeMicrovm, reality: Reality): MicrovmChange | undefined {
  const { nowMs } = reality;
  // Whoever waited for that wake is gone.
  if (row.state === 'SUSPENDED') return row.wish === 'RUNNING' ? { wish: 'SUSPENDED' } : undefined;
  if (row.state === 'PENDING') return undefined;
  if (!holdsAll(row, snapshot)) return lost(row, reality);
  const at = new Date(nowMs).toISOString();
  if (row.state === 'RUNNING') return { state: 'SUSPENDING', wish: 'SUSPENDED', suspendCause: 'shutdown' };
  const report = withSuspend(row, { cause: row.suspendCause ?? 'requested', at });
  return { state: 'SUSPENDED', suspendedAtMs: nowMs, stateReason: null, report };
}

/** Only a snapshot that is newer than what it ran from holds all that it has done. */
export const holdsAll = (row: MicrovmRow, snapshot: number): boolean =>
  snapshot > (readReport(row).fromSnapshot ?? Infinity);

/** By policy, for a MicroVM whose VM is gone with what it has done since its last snapshot, if it has one. */
export function lost(row: MicrovmRow, reality: Reality): MicrovmChange {
  const { host, why = unknownWhy(row), nowMs, lostVms } = reality;
  if (host?.state !== 'asleep') return ended(`${why} There is no snapshot to continue from.`, nowMs);
  const { savedAt = 'an earlier time' } = readReport(row);
  if (lostVms === 'end') {
    const stateReason = `${why} Its snapshot of ${savedAt} was given up; with --lost-vms restore it would continue from there.`;
    return { state: 'TERMINATING', wish: 'TERMINATED', stateReason };
  }
  const stateReason = `${why} It continues from its snapshot of ${savedAt}; what happened since is lost.`;
  const asleep = {
    wish: 'SUSPENDED',
    stateReason,
    suspendCause: 'shutdown',
    suspendedAtMs: nowMs,
  } as const;
  if (row.state === 'RUNNING') return { ...asleep, state: 'SUSPENDING' };
  return { ...asleep, state: 'SUSPENDED', report: withRestart(row, nowMs, stateReason) };
}
