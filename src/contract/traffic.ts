// What the gateway counted, as plain numbers: a structured clone of it is the same, and those of several threads can be added.
import { addTo, type Histogram, newHistogram } from '../lib/histogram.ts';

/** Classes of answers; `none`: the client left before there was one. */
export const statusClasses = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;

/** Places in `Counts` behind those of the status classes. */
export const place = {
  bytesIn: 6,
  bytesOut: 7,
  /** WebSockets that were opened. */
  webSockets: 8,
  /** Requests that had to wait until their MicroVM ran. */
  held: 9,
  heldSeconds: 10,
  requestSeconds: 11,
} as const;

const places = 12;

/** Sums since the start: requests by status class, then as `place` says. */
export type Counts = Float64Array<ArrayBuffer>;

export const newCounts = (): Counts => new Float64Array(places);

/** What is open now. */
export interface OpenNow {
  requests: number;
  webSockets: number;
}

export interface Traffic {
  /** Of all requests, also those of MicroVMs that have ended, and those that the door refused. */
  total: Counts;
  /** Whole time of requests that were no WebSockets. */
  duration: Histogram;
  /** How long requests were held until their MicroVM ran. */
  held: Histogram;
  /** Refusal → how often. */
  refusals: Map<string, number>;
  /** Only MicroVMs that exist. */
  byMicrovm: Map<string, { counts: Counts; open: OpenNow }>;
  /** Connections of clients. */
  connections: number;
  /** Lines of the access log that were lost. */
  lostLines: number;
}

export const newTraffic = (): Traffic => ({
  total: newCounts(),
  duration: newHistogram(),
  held: newHistogram(),
  refusals: new Map(),
  byMicrovm: new Map(),
  ...{ connections: 0, lostLines: 0 },
});

/** Adds what several gateways counted. */
export function sumTraffic(parts: readonly Traffic[]): Traffic {
  const sum = newTraffic();
  for (const part of parts) {
    addTo(sum.total, part.total);
    addTo(sum.duration, part.duration);
    addTo(sum.held, part.held);
    for (const [refusal, count] of part.refusals) sum.refusals.set(refusal, (sum.refusals.get(refusal) ?? 0) + count);
    for (const [microvmId, { counts, open }] of part.byMicrovm) {
      const one = sum.byMicrovm.get(microvmId) ?? { counts: newCounts(), open: { requests: 0, webSockets: 0 } };
      addTo(one.counts, counts);
      one.open.requests += open.requests;
      one.open.webSockets += open.webSockets;
      sum.byMicrovm.set(microvmId, one);
    }
    sum.connections += part.connections;
    sum.lostLines += part.lostLines;
  }
  return sum;
}
