// What the server has acknowledged, and what it may have done without saying so. Whatever is seen afterwards is judged by this.
import type { GuestState } from './guest.ts';
import { patternAfter } from './pattern.ts';

/** Where a MicroVM may be once nothing is under way; `none`: a launch that was never answered may not exist. */
export type Place = 'none' | 'RUNNING' | 'SUSPENDED' | 'TERMINATED';

export interface VmEntry {
  /** Names the launch, so that it can be asked for again. */
  clientToken: string;
  /** Empty until a launch was answered. */
  id: string;
  endpoint: string;
  token: Record<string, string>;
  /** More than one while an act is not acknowledged. */
  mayBe: Place[];
  /** Increments: what was sent, and what was answered. */
  asked: Set<number>;
  answered: Set<number>;
  /** What had been answered at the start of the last sleep that came about; undefined before the first. */
  atLastSleep?: Set<number>;
  /** How often it was seen asleep after an act of ours. */
  sleeps: number;
  /** An act was under way when somebody was killed: its time may have stood still. */
  disturbed: boolean;
  /** Its VMM was killed in this round while something happened to it. */
  struck: boolean;
  /** Its end has been verified. */
  closed: boolean;
  /** It has been seen running or asleep once. */
  proven: boolean;
  /** It may have gone back to its last sleep. */
  rolledBack: boolean;
  /** Of the guest, when it was last asked; undefined once it was put to sleep. */
  seen?: { askedMs: number; answeredMs: number; guestMs: number };
}

export function newEntry(clientToken: string): VmEntry {
  return {
    ...{ clientToken, id: '', endpoint: '', token: {}, mayBe: ['none'], asked: new Set(), answered: new Set() },
    ...{ sleeps: 0, disturbed: false, struck: false, closed: false, proven: false, rolledBack: false },
  };
}

export const mayBe = (entry: VmEntry, place: Place): boolean => entry.mayBe.includes(place);
export const is = (entry: VmEntry, place: Place): boolean => entry.mayBe.length === 1 && mayBe(entry, place);

/** The act was sent and may have happened. */
export function asked(entry: VmEntry, goal: Place): void {
  if (!mayBe(entry, goal)) entry.mayBe.push(goal);
  // Its clocks stand still while it sleeps.
  if (goal !== 'RUNNING') delete entry.seen;
}

/** The act was acknowledged: from now on it is either there or on its way. What was answered before its VMM was killed may be read after that; only an end is one still. */
export function acknowledged(entry: VmEntry, goal: Place): void {
  if (entry.struck && goal !== 'TERMINATED') return;
  entry.mayBe = [goal];
}

/** It was seen there, and nothing is under way. */
export function seen(entry: VmEntry, place: Place): void {
  // Nobody sends it anything while it is put to sleep: what was answered is in the snapshot.
  if (place === 'SUSPENDED' && !entry.rolledBack) entry.atLastSleep = new Set(entry.answered);
  entry.proven ||= place !== 'TERMINATED';
  entry.mayBe = [place];
}

/** Its VMM was killed. `busy`: while something happened to it, which may be over, undone or begun again. */
export function struck(entry: VmEntry, policy: 'end' | 'restore', busy: boolean): void {
  const ran = mayBe(entry, 'RUNNING');
  if (!ran && !busy) return;
  entry.disturbed = true;
  entry.struck = busy;
  const canGoBack = policy === 'restore' && entry.atLastSleep !== undefined;
  if (canGoBack) entry.rolledBack = true;
  if (busy) entry.mayBe = [...new Set<Place>([...entry.mayBe, 'RUNNING', 'SUSPENDED', 'TERMINATED'])];
  // The next request of those that never cease wakes it.
  else entry.mayBe = canGoBack ? ['SUSPENDED', 'RUNNING'] : ['TERMINATED'];
}

/** Sentences about what is wrong with what a MicroVM serves; it is taken as the truth afterwards. */
export function judgeGuest(entry: VmEntry, state: GuestState): string[] {
  const wrong: string[] = [];
  const inMemory = new Set(state.marks);
  const inFile = new Set(state.file);
  const must = entry.rolledBack ? (entry.atLastSleep ?? new Set()) : entry.answered;
  const missing = (where: Set<number>): number[] => [...must].filter((mark) => !where.has(mark));
  const [fromMemory, fromFile] = [missing(inMemory), missing(inFile)];
  if (fromMemory.length > 0) wrong.push(`memory has lost the acknowledged marks ${fromMemory}`);
  if (fromFile.length > 0) wrong.push(`the file has lost the acknowledged marks ${fromFile}`);
  const foreign = [...new Set([...inMemory, ...inFile])].filter((mark) => !entry.asked.has(mark));
  if (foreign.length > 0) wrong.push(`it has the marks ${foreign}, which nobody sent`);
  if (inMemory.size < state.marks.length) wrong.push('a mark was delivered twice');
  if (state.marks.join() !== state.file.join()) {
    wrong.push(`memory and file differ: ${state.marks.slice(-5)} and ${state.file.slice(-5)} are the last of them`);
  }
  if (state.pattern !== patternAfter(state.marks)) wrong.push('the megabyte in its memory is damaged');
  entry.answered = inMemory;
  entry.rolledBack = false;
  return wrong;
}
