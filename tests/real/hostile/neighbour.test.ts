// What an attacker costs its neighbour, against what an honest busy MicroVM under the same settings costs it.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { NodeSettings } from '../../../src/node/open-node.ts';
import type { HostileGuest } from '../../support/hostile/hostile-guest.ts';
import { type HostileHost, startHostileHost } from '../../support/hostile/rig.ts';

/** A baseline of 512 MiB stands for a quarter of a processor. */
const halfAProcessor: Partial<NodeSettings> = { cpuBurst: 2 };
/** Of each kind, in turns, so that what else the machine does meets both alike. */
const requests = 200;
const turns = 2;
const loadMs = 40_000;
const most = 2;

const honest = `
import hashlib
while True:
    hashlib.sha256(bytes(1 << 16)).digest()`;

const hostile = `
import threading
def spin():
    while True:
        pass
def storm():
    while True:
        if (pid := os.fork()) == 0:
            os.execv("/bin/true", ["true"])
        os.waitpid(pid, 0)
def writing():
    block = os.urandom(1 << 20)
    while True:
        with open("/var/tmp/churn", "wb", buffering=0) as file:
            for _ in range(32):
                file.write(block)
            os.fsync(file.fileno())
def flooding():
    while True:
        flood(ether(syn("10.213.7.7", 80)), 1)
for work in (spin, spin, spin, storm, storm, writing, flooding):
    if os.fork() == 0:
        work()
spin()`;

let host: HostileHost;
let buildId: string;
let neighbour: HostileGuest;
beforeAll(async () => {
  host = await startHostileHost({ egress: 'internet', ...halfAProcessor });
  buildId = await host.build({ memoryMib: 512, baselineMib: 512 });
  neighbour = await host.launch('neighbour', buildId);
});
afterAll(() => host?.[Symbol.asyncDispose]());

/** Milliseconds of requests to the neighbour, one after the other, while another MicroVM runs the source. */
async function beside(name: string, source: string): Promise<number[]> {
  const other = await host.launch(name, buildId);
  try {
    other.run(source, { timeoutMs: loadMs }).catch(() => {});
    // Past its first moments.
    for (let i = 0; i < 20; i++) await neighbour.ping();
    const took: number[] = [];
    for (let i = 0; i < requests / turns; i++) took.push(await neighbour.ping());
    // The load was really there.
    expect((await host.real.node.statistics(other.id))?.cpuMs).toBeGreaterThan(300);
    return took;
  } finally {
    await host.end(other);
  }
}

function latency(took: number[]): { p50: number; p99: number; shown: string } {
  const sorted = took.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  const [p50, p99] = [at(0.5), at(0.99)];
  return { p50, p99, shown: `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms` };
}

// Once more against noise: others use the machine too.
test('the median beside an attacker is at most twice that beside an honest busy neighbour', { retry: 1 }, async () => {
  const took = { honest: [] as number[], hostile: [] as number[] };
  for (let turn = 1; turn <= turns; turn++) {
    took.honest.push(...(await beside(`honest-${turn}`, honest)));
    took.hostile.push(...(await beside(`hostile-${turn}`, hostile)));
  }
  const [calm, attacked] = [latency(took.honest), latency(took.hostile)];
  console.info(`beside an honest busy MicroVM: ${calm.shown}; beside an attacker: ${attacked.shown}`);
  expect(took.hostile).toHaveLength(requests);
  expect(attacked.p50).toBeLessThanOrEqual(most * calm.p50);
});
