// What else goes wrong in a run beside kills: each is a kit with the same handles.
import type { Round } from './plan.ts';

export interface FaultKit {
  readonly name: 'none' | 'disk-full' | 'eio' | 'clock' | 'reboot';
  /** Where the data directory must be, if not in the run's scratch directory itself. */
  readonly directory?: string;
  /** Of the n-th server. */
  environment?(n: number): NodeJS.ProcessEnv;
  /** Of the server, beside those that every one gets. */
  readonly serverArguments?: readonly string[];
  /** Milliseconds between the server's clock and the machine's. */
  clockOffset?(): number;
  /** Resolves when a request can be signed: now the clock stands still. */
  steady?(): Promise<void>;
  /** While the acts of a round are under way; `at` resolves at a moment of the round. Resolves when the fault has begun. */
  begin?(round: Round, at: (ms: number) => Promise<void>): Promise<void>;
  /** Between the server's death and its restart. */
  afterKill?(data: string): Promise<void>;
  /** The server did not start; it must be able to the next time. */
  failedStart?(): Promise<void>;
  /** Before anything is looked at. */
  end?(round: Round): Promise<void>;
  /** Once, at the end of the run. */
  close?(): Promise<void>;
}

export const noFault: FaultKit = { name: 'none' };
