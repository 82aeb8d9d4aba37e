// Everything that is measured, as one text. Series of single MicroVMs exist for those that have not ended, and for no others.
import { type Counts, type OpenNow, place, statusClasses, type Traffic } from '../../contract/traffic.ts';
import type { AppContext } from '../context.ts';
import { Exposition, type Labels } from './exposition.ts';

type Sample = readonly [Labels, number];

export async function metricsText(app: AppContext): Promise<string> {
  const traffic = await app.traffic();
  const out = new Exposition();
  server(out, app);
  integrity(out, app);
  total(out, traffic);
  stages(out, app);
  garbage(out, app);
  eachMicrovm(out, app, traffic);
  return out.text();
}

const at = (counts: Counts, where: number): number => counts[where] ?? 0;

const byClass = (counts: Counts, labels: Labels = {}): Sample[] =>
  statusClasses.map((code, i) => [{ ...labels, code }, at(counts, i)]);

const byDirection = (counts: Counts, labels: Labels = {}): Sample[] => [
  [{ ...labels, direction: 'in' }, at(counts, place.bytesIn)],
  [{ ...labels, direction: 'out' }, at(counts, place.bytesOut)],
];

function server(out: Exposition, { node, index, settings }: AppContext): void {
  const { driver, accelerator, architecture, capacity } = node.info();
  const facts = { version: settings.version, profile: settings.limits.name, driver, accelerator, architecture };
  out.family('gauge', 'info', 'The server.', [[facts, 1]]);
  const mib = 1 << 20;
  out.family('gauge', 'memory_bytes', 'Memory for MicroVMs and builds.', [[{}, capacity.memoryMib * mib]]);
  out.family('gauge', 'memory_committed_bytes', 'Of that, what is taken.', [[{}, capacity.committedMib * mib]]);
  out.family('gauge', 'launches_waiting', 'Launches and wakes that wait for room or their turn.', [
    [{}, capacity.waiting],
  ]);
  const leftovers = node.leftovers().length;
  out.family('gauge', 'leftovers', 'What could not be removed from the host so far; the log says what.', [
    [{}, leftovers],
  ]);
  const recovering = index.all().filter(({ isRecovering }) => isRecovering).length;
  out.family('gauge', 'microvms_recovering', 'MicroVMs that are being taken over from an earlier server.', [
    [{}, recovering],
  ]);
  const states = new Map<string, number>();
  for (const { row } of index.all()) states.set(row.state, (states.get(row.state) ?? 0) + 1);
  out.family(
    'gauge',
    'microvms',
    'MicroVMs that have not ended.',
    [...states].map(([state, n]) => [{ state }, n]),
  );
}

function integrity(out: Exposition, { scrubber }: AppContext): void {
  const { damage, last } = scrubber.status();
  out.family('gauge', 'damaged_files', 'Kept files that are not what was written.', [[{}, damage.length]]);
  const seconds: Sample[] = last ? [[{}, last.endedAtMs / 1000]] : [];
  out.family('gauge', 'scrub_ended_timestamp_seconds', 'End of the last whole pass of the scrubber.', seconds);
}

function total(out: Exposition, traffic: Traffic): void {
  const { total: counts, byMicrovm, refusals } = traffic;
  const open = (kind: keyof OpenNow): number => [...byMicrovm.values()].reduce((sum, one) => sum + one.open[kind], 0);
  out.family('counter', 'requests_total', 'Requests to MicroVMs by class of the answer.', byClass(counts));
  out.family('counter', 'transferred_bytes_total', 'Bodies and WebSocket frames.', byDirection(counts));
  out.family('counter', 'websockets_total', 'WebSockets that have ended.', [[{}, at(counts, place.webSockets)]]);
  const answered = [...refusals].map(([reason, n]): Sample => [{ reason }, n]);
  out.family('counter', 'refusals_total', 'Requests that the gateway answered by itself.', answered);
  out.family('gauge', 'requests_in_flight', 'Requests under way.', [[{}, open('requests')]]);
  out.family('gauge', 'websockets_open', 'WebSockets that are open.', [[{}, open('webSockets')]]);
  out.family('gauge', 'client_connections', 'Connections of clients.', [[{}, traffic.connections]]);
  out.histograms('request_duration_seconds', 'From the headers of a request to the end of its answer.', [
    [{}, traffic.duration],
  ]);
  out.histograms('request_held_seconds', 'How long requests waited for their MicroVM to run, of those that had to.', [
    [{}, traffic.held],
  ]);
  out.family('counter', 'access_log_lost_lines_total', 'Lines of the access log that could not be written.', [
    [{}, traffic.lostLines],
  ]);
}

function stages(out: Exposition, { stageMetrics }: AppContext): void {
  const whole = [...stageMetrics.whole].map(([act, histogram]) => [{ act }, histogram] as const);
  out.histograms('act_duration_seconds', 'Launches, wakes and suspends.', whole);
  const each = [...stageMetrics.byStage].flatMap(([act, known]) =>
    [...known].map(([stage, histogram]) => [{ act, stage }, histogram] as const),
  );
  out.histograms('stage_duration_seconds', 'Their stages.', each);
}

/** As of the last look, which takes place every few minutes: a scrape does not look at every file. */
function garbage(out: Exposition, { garbage: { things, orphans } }: AppContext): void {
  const summed = (
    of: readonly { kind: string; bytes: number }[],
    value: (one: { bytes: number }) => number,
  ): Sample[] => {
    const sums = new Map<string, number>();
    for (const one of of) sums.set(one.kind, (sums.get(one.kind) ?? 0) + value(one));
    return [...sums].map(([kind, sum]) => [{ kind }, sum]);
  };
  const bytes = ({ bytes }: { bytes: number }): number => bytes;
  out.family('gauge', 'stored_bytes', 'What things of each kind occupy on the host.', summed(things, bytes));
  out.family(
    'gauge',
    'orphans',
    'Things and records without an owner.',
    summed(orphans, () => 1),
  );
  out.family('gauge', 'orphan_bytes', 'What they occupy.', summed(orphans, bytes));
}

function eachMicrovm(out: Exposition, { index, stageMetrics }: AppContext, { byMicrovm }: Traffic): void {
  const known = [...byMicrovm].flatMap(([id, one]) => {
    const row = index.get(id)?.row;
    return row ? [{ labels: { microvm_id: id, account: row.account }, ...one }] : [];
  });
  const each = (of: (one: (typeof known)[number]) => Sample[]): Sample[] => known.flatMap(of);
  const one = (where: number): Sample[] => each(({ labels, counts }) => [[labels, at(counts, where)]]);
  const requests = each(({ labels, counts }) => byClass(counts, labels));
  out.family('counter', 'microvm_requests_total', 'Requests by class of the answer.', requests);
  const bytes = each(({ labels, counts }) => byDirection(counts, labels));
  out.family('counter', 'microvm_transferred_bytes_total', 'Bodies and WebSocket frames.', bytes);
  out.family('counter', 'microvm_request_seconds_total', 'Time of all requests together.', one(place.requestSeconds));
  out.family('counter', 'microvm_held_requests_total', 'Requests that waited for it to run.', one(place.held));
  out.family('counter', 'microvm_held_seconds_total', 'How long they waited.', one(place.heldSeconds));
  for (const [name, kind] of [
    ['requests_in_flight', 'requests'],
    ['websockets_open', 'webSockets'],
  ] as const) {
    const samples = each(({ labels, open }) => [[labels, open[kind]]]);
    out.family('gauge', `microvm_${name}`, 'Under way now.', samples);
  }
  const acts = index.all().map(({ row }) => ({
    labels: { microvm_id: row.microvmId, account: row.account },
    ...stageMetrics.of(row.microvmId),
  }));
  out.family(
    'counter',
    'microvm_wakes_total',
    'Wakes.',
    acts.map(({ labels, wakes }) => [labels, wakes]),
  );
  out.family(
    'counter',
    'microvm_suspends_total',
    'Suspends.',
    acts.map(({ labels, suspends }) => [labels, suspends]),
  );
}
