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
  /** Its end has been verified. */
  closed: boolean;
  /** It has been seen running or asleep once. */
  proven: boolean;
  /** Its VM was ended by force since it was last looked at, and what had been asked of it until then. */
  strike?: { canGoBack: boolean; asked: Set<number>; answered: Set<number>; during: string };
  /** How often it went back to an earlier sleep. */
  wentBack: number;
  /** Increments that were answered in a time that it went back from. */
  gone: Set<number>;
  /** Of the guest, when it was last asked; undefined once it was put to sleep. */
  seen?: { askedMs: number; answeredMs: number; guestMs: number };
}

export function newEntry(clientToken: string): VmEntry {
  return {
    ...{ clientToken, id: '', endpoint: '', token: {}, mayBe: ['none'], asked: new Set(), answered: new Set() },
    ...{ sleeps: 0, disturbed: false, closed: false, proven: false, wentBack: 0, gone: new Set() },
  };
}

export const mayBe = (entry: VmEntry, place: Place): boolean => entry.mayBe.includes(place);
export const is = (entry: VmEntry, place: Place): boolean => entry.mayBe.length === 1 && mayBe(entry, place);

/** The act was sent and may have happened. */
export function asked(entry: VmEntry, goal: Place): void {
  if (isPossible(entry, goal) && !mayBe(entry, goal)) entry.mayBe.push(goal);
  // Its clocks stand still while it sleeps.
  if (goal !== 'RUNNING') delete entry.seen;
}

/** The act was acknowledged: from now on it is either there or on its way. */
export function acknowledged(entry: VmEntry, goal: Place): void {
  if (isPossible(entry, goal)) entry.mayBe = [goal];
  // The answer may have been on its way already when its VM died: it says that it exists, and nothing of where it is now.
  else entry.mayBe = entry.mayBe.filter((place) => place !== 'none');
}

/** Since its VM died, nothing comes about of what had been asked before, except its end. */
const isPossible = ({ strike }: VmEntry, goal: Place): boolean => strike === undefined || goal === 'TERMINATED';

/** Its act has led there. What says so may be older than the death of its VM. */
export function arrived(entry: VmEntry, place: Place): void {
  if (isPossible(entry, place)) seen(entry, place);
}

/** It was seen there, and nothing is under way. */
export function seen(entry: VmEntry, place: Place): void {
  // Nobody sends it anything while it is put to sleep: what was answered is in the snapshot.
  if (place === 'SUSPENDED') entry.atLastSleep = new Set(entry.answered);
  entry.proven ||= place !== 'TERMINATED';
  entry.mayBe = [place];
}

/** Sentences about what is wrong with what a MicroVM serves; it is taken as the truth afterwards. */
export function judgeGuest(entry: VmEntry, state: GuestState): string[] {
  const wrong: string[] = [];
  const inMemory = new Set(state.marks);
  const inFile = new Set(state.file);
  const missing = (where: Set<number>): number[] => [...entry.answered].filter((mark) => !where.has(mark));
  const [fromMemory, fromFile] = [missing(inMemory), missing(inFile)];
  if (fromMemory.length > 0) wrong.push(`memory has lost the acknowledged marks ${fromMemory}`);
  if (fromFile.length > 0) wrong.push(`the file has lost the acknowledged marks ${fromFile}`);
  const foreign = [...new Set([...inMemory, ...inFile])].filter((mark) => !entry.asked.has(mark));
  if (foreign.length > 0) wrong.push(`it has the marks ${foreign}, which nobody sent`);
  const back = [...entry.gone].filter((mark) => inMemory.has(mark) || inFile.has(mark));
  if (back.length > 0) wrong.push(`it has the marks ${back} of a time that its record says it went back from`);
  if (inMemory.size < state.marks.length) wrong.push('a mark was delivered twice');
  if (state.marks.join() !== state.file.join()) {
    wrong.push(`memory and file differ: ${state.marks.slice(-5)} and ${state.file.slice(-5)} are the last of them`);
  }
  if (state.pattern !== patternAfter(state.marks)) wrong.push('the megabyte in its memory is damaged');
  entry.answered = inMemory;
  return wrong;
}
