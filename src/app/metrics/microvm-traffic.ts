// What one MicroVM's endpoint has done, for people.
import { newCounts, place, statusClasses, type Traffic } from '../../contract/traffic.ts';
import type { AppContext } from '../context.ts';

export interface MicrovmTraffic {
  /** By class of the answer; only those that occurred. */
  requests: Record<string, number>;
  requestsInFlight: number;
  webSocketsOpen: number;
  bytesIn: number;
  bytesOut: number;
  /** Mean of all requests. */
  requestMs: number;
  wakes: number;
  suspends: number;
  /** Requests that waited for it to run, and how long on average. */
  heldRequests: number;
  heldMs: number;
}

export function trafficOf(app: AppContext, microvmId: string, { byMicrovm }: Traffic): MicrovmTraffic {
  const { counts, open } = byMicrovm.get(microvmId) ?? {
    counts: newCounts(),
    open: { requests: 0, webSockets: 0 },
  };
  const at = (where: number): number => counts[where] ?? 0;
  const requests = statusClasses.map((name, i) => [name, at(i)] as const).filter(([, n]) => n > 0);
  const finished = requests.reduce((sum, [, n]) => sum + n, 0) - at(place.webSockets);
  const held = at(place.held);
  return {
    requests: Object.fromEntries(requests),
    requestsInFlight: open.requests,
    webSocketsOpen: open.webSockets,
    bytesIn: at(place.bytesIn),
    bytesOut: at(place.bytesOut),
    requestMs: mean(at(place.requestSeconds), finished),
    ...app.stageMetrics.of(microvmId),
    heldRequests: held,
    heldMs: mean(at(place.heldSeconds), held),
  };
}

/** Milliseconds, with three places. */
const mean = (seconds: number, n: number): number => (n === 0 ? 0 : Math.round((seconds / n) * 1e6) / 1e3);
