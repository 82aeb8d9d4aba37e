// What happens to one question: refused, answered here, or asked of the host's name servers in turn.
import { randomInt } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';
import { askOverTcp, askOverUdp } from './exchange.ts';
import type { NameServer, NameServerList } from './name-servers.ts';
import { type Query, rcodes, readQuery } from './query.ts';
import { answers, forwarded, isTruncated, ownAnswer, rcodeOf, relayed } from './reply.ts';
import { answerSpecialName } from './special-names.ts';

/** Below the five seconds after which C libraries ask again. */
export const deadlineMs = 4500;
/** What one server may take before the next is asked. */
export const attemptMs = 1500;

export interface Asking {
  /** The slot that asks, known by where the question came from. */
  slot: number;
  message: Buffer;
  overTcp: boolean;
}

export interface Forwarder {
  nameServers: NameServerList;
  clock: Clock;
  /** Ends all that is under way. */
  signal: AbortSignal;
}

/** The answer to one question, within the deadline; undefined when there is none to give. Never rejects. */
export async function answerQuery({ message, overTcp }: Asking, forwarder: Forwarder): Promise<Buffer | undefined> {
  const query = readQuery(message);
  if (!query) return undefined;
  if ('rcode' in query) return ownAnswer(query, query.rcode);
  const special = answerSpecialName(query);
  if (special) return special;
  const answer = await ask(query, overTcp, forwarder);
  return answer ? relayed(answer, query, overTcp) : ownAnswer(query, rcodes.serverFailure);
}

/** Asks one server after the other, twice at most. A server that fails or refuses is passed over; its answer counts when no other has one. */
async function ask(query: Query, overTcp: boolean, forwarder: Forwarder): Promise<Buffer | undefined> {
  const { clock, nameServers } = forwarder;
  const deadline = new AbortController();
  const timer = clock.after(deadlineMs, () => deadline.abort());
  const signal = AbortSignal.any([deadline.signal, forwarder.signal]);
  let second: Buffer | undefined;
  try {
    const list = await nameServers.list();
    for (const server of [...list, ...list]) {
      if (signal.aborted) break;
      const answer = await attempt(query, overTcp, server, { clock, signal }).catch(() => undefined);
      if (answer && (rcodeOf(answer) === rcodes.noError || rcodeOf(answer) === rcodes.noSuchName)) {
        nameServers.answered(server);
        return answer;
      }
      second ??= answer;
    }
    return second;
  } finally {
    timer.cancel();
  }
}

async function attempt(
  query: Query,
  overTcp: boolean,
  server: NameServer,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<Buffer> {
  const late = new AbortController();
  const timer = clock.after(attemptMs, () => late.abort());
  const id = randomInt(0x1_0000);
  const exchange = {
    server,
    message: forwarded(query, id),
    isAnswer: (answer: Buffer) => answers(answer, query, id),
    signal: AbortSignal.any([signal, late.signal]),
  };
  try {
    const answer = await askOverUdp(exchange);
    // A guest that asked over UDP is told to come again over TCP; only then is it worth while here.
    return overTcp && isTruncated(answer) ? await askOverTcp(exchange) : answer;
  } finally {
    timer.cancel();
  }
}
