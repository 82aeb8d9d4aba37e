import { expect, test } from 'vitest';
import { newCounts, place } from '../../contract/traffic.ts';
import { newHistogram, observe } from '../../lib/histogram.ts';
import { suspendMicrovm } from '../operations/suspend-microvm.ts';
import { terminateMicrovm } from '../operations/terminate-microvm.ts';
import { caller, testApp } from '../testing/test-app.ts';
import { Exposition } from './exposition.ts';
import { metricsText } from './metrics-text.ts';

/** Every line is what the format allows; each family is there once, and its samples follow it. */
function samples(text: string): Map<string, number> {
  const found = new Map<string, number>();
  const families = new Set<string>();
  let family = '';
  for (const line of text.trimEnd().split('\n')) {
    const head = /^# (?:HELP|TYPE) (\w+) (.+)$/.exec(line);
    if (head?.[1] !== undefined) {
      if (line.startsWith('# TYPE')) {
        expect(['counter', 'gauge', 'histogram']).toContain(head[2]);
        expect(head[2] === 'counter').toBe(head[1].endsWith('_total'));
        continue;
      }
      family = head[1];
      expect(families).not.toContain(family);
      families.add(family);
      continue;
    }
    const sample = /^(\w+(?:\{(?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*\})?) (-?[0-9.e+-]+)$/.exec(line);
    expect(sample, line).not.toBeNull();
    expect(line.startsWith(family)).toBe(true);
    expect(found.has(sample?.[1] ?? '')).toBe(false);
    found.set(sample?.[1] ?? '', Number(sample?.[2]));
  }
  return found;
}

test('numbers of the server, of its gateway and of each MicroVM, which end with it', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  const counts = newCounts();
  counts[2] = 7;
  counts[place.bytesOut] = 1e15;
  for (const id of [microvmId, 'ended']) t.traffic.byMicrovm.set(id, { counts, open: { requests: 2, webSockets: 1 } });
  t.traffic.refusals.set('port_denied', 3);
  observe(t.traffic.duration, 0.02);
  t.scrubber.damage = [{ file: '/x', why: 'it is missing', foundAtMs: 1 }];
  const own = `microvm_id="${microvmId}",account="${caller.account}"`;
  const found = samples(await metricsText(t.app.context));
  expect(found.get('waterbear_microvms{state="SUSPENDED"}')).toBe(1);
  expect(found.get('waterbear_refusals_total{reason="port_denied"}')).toBe(3);
  expect(found.get('waterbear_damaged_files')).toBe(1);
  expect(found.get('waterbear_request_duration_seconds_bucket{le="0.01"}')).toBe(0);
  expect(found.get('waterbear_request_duration_seconds_bucket{le="0.025"}')).toBe(1);
  expect(found.get('waterbear_request_duration_seconds_bucket{le="+Inf"}')).toBe(1);
  expect(found.get('waterbear_stage_duration_seconds_sum{act="suspend",stage="snapshot"}')).toBe(0.003);
  expect(found.get('waterbear_act_duration_seconds_count{act="launch"}')).toBe(1);
  expect(found.get(`waterbear_microvm_requests_total{${own},code="2xx"}`)).toBe(7);
  expect(found.get(`waterbear_microvm_transferred_bytes_total{${own},direction="out"}`)).toBe(1e15);
  expect(found.get(`waterbear_microvm_suspends_total{${own}}`)).toBe(1);
  expect([...found.keys()].join()).not.toContain('"ended"');
  await terminateMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  expect([...samples(await metricsText(t.app.context)).keys()].join()).not.toContain(microvmId);
  expect(t.app.context.stageMetrics.of(microvmId)).toEqual({ wakes: 0, suspends: 0 });
});

test('labels cannot break out of their line', () => {
  const out = new Exposition();
  out.family('gauge', 'x', 'A thing.', [[{ name: 'a"b\\c\nd' }, 1]]);
  out.histograms('y_seconds', 'Another.', [[{}, newHistogram()]]);
  expect(samples(out.text()).get('waterbear_x{name="a\\"b\\\\c\\nd"}')).toBe(1);
});

test('a host that invents stages does not invent series without end', async () => {
  await using t = await testApp();
  const { stageMetrics } = t.app.context;
  for (let i = 0; i < 1000; i++) stageMetrics.record('vm', 'wake', { [`stage-${i}`]: 1 });
  expect(stageMetrics.byStage.get('wake')?.size).toBe(64);
});
