// Requests to tests/support/apps/chaos through the endpoint of its MicroVM.
import { z } from 'zod';
import { sendRequest } from '../support/server.ts';
import type { VmEntry } from './ledger.ts';

const times = z.object({ monotonicMs: z.number(), wallMs: z.number(), ticks: z.number() });
const gap = z.object({ atMs: z.number(), monotonicMs: z.number(), wallMs: z.number() });
const guestState = times.extend({
  marks: z.array(z.number()),
  file: z.array(z.number()),
  pattern: z.string(),
  gaps: z.array(gap),
  writtenBytes: z.number(),
});

export type GuestState = z.output<typeof guestState>;

/** Milliseconds that only go forward, the same for all processes of this machine. */
export const hostMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

const requestMs = 60_000;

/** Rejects when the connection breaks, and for anything but 200: the status is in the message. */
async function send(ca: string, entry: VmEntry, path: string, body?: string, signal?: AbortSignal): Promise<unknown> {
  const ends = AbortSignal.any([AbortSignal.timeout(requestMs), ...(signal ? [signal] : [])]);
  const answer = await sendRequest(ca, entry.endpoint, entry.token, path, body, ends);
  if (answer.status !== 200) {
    const reason = answer.headers['x-waterbear-reason'] ?? answer.body.slice(0, 200);
    throw new Error(`${entry.id} answered ${answer.status} ${reason}`.trimEnd());
  }
  return JSON.parse(answer.body);
}

/** Sends a mark. From then on it is in doubt until it is answered. */
export async function addMark(ca: string, entry: VmEntry, mark: number, signal?: AbortSignal): Promise<void> {
  entry.asked.add(mark);
  const askedMs = hostMs();
  const answer = times.parse(await send(ca, entry, '/mark', String(mark), signal));
  entry.answered.add(mark);
  entry.seen = { askedMs, answeredMs: hostMs(), guestMs: answer.monotonicMs };
}

export async function readState(ca: string, entry: VmEntry): Promise<GuestState> {
  return guestState.parse(await send(ca, entry, '/'));
}
