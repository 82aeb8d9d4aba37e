// A guest whose root has every capability turns on the host: it floods, takes the agent's port and speaks in its place, stops reading, crashes its kernel.
// It may harm itself; the server and a neighbour go on, and the VM ends with a reason.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EndReason } from '../../src/contract/node-api.ts';
import { type InsideVm, startInsideVm } from '../support/inside-vm.ts';
import { ask, buildOrder, projectZip } from '../support/real-node.ts';

let vm: InsideVm;
const ends = new Map<string, EndReason>();
const neighbour = 'microvm-neighbour';
beforeAll(async () => {
  vm = await startInsideVm(true);
  const { host } = vm;
  host.node.onEnded((microvmId, reason) => ends.set(microvmId, reason));
  const archivePath = join(host.directory, 'state.zip');
  await writeFile(archivePath, await projectZip('state'));
  const build = buildOrder(archivePath);
  await host.node.build(build, () => {});
  await host.node.launch({ microvmId: neighbour, buildId: build.buildId });
});
afterAll(() => vm?.close());

/** Finds a port by name, makes a device node for it and opens it. */
const openPort = `
import glob
def open_port(name):
    for path in glob.glob("/sys/class/virtio-ports/*"):
        if open(path + "/name").read().strip() == name:
            major, minor = open(path + "/dev").read().split(":")
            node = f"/dev/wb-{minor}"
            if not os.path.exists(node):
                os.mknod(node, 0o20666, os.makedev(int(major), int(minor)))
            return os.open(node, os.O_RDWR)
    raise FileNotFoundError(name)
`;

test('the control port is held by the agent: nobody else can open it', async () => {
  expect(await vm.python(`${openPort}\nresult = attempt(open_port, "waterbear.control")`)).toBe('EBUSY');
});

test('a flood of output is dropped in the guest, and holds up neither the server nor a neighbour', async () => {
  const flood = vm.python<number>(`
import time
out = os.open("/proc/1/fd/1", os.O_WRONLY)
end, sent, chunk = time.time() + 8, 0, b"\\x1b[31mflood\\n" * 6000
while time.time() < end:
    sent += os.write(out, chunk)
result = sent`);
  let flooding = true;
  const flooded = flood.finally(() => {
    flooding = false;
  });
  for (let i = 0; i < 3; i++) await ask(vm.host.node, neighbour);
  expect(flooding).toBe(true);
  expect(await flooded).toBeGreaterThan(2 << 20);
});

test('whoever takes the port and talks nonsense ends his own VM, with a reason', async () => {
  const taken = vm.python(`${openPort}
import time
device = os.path.basename(os.path.realpath(glob.glob("/sys/class/virtio-ports/*")[0] + "/device"))
driver = "/sys/bus/virtio/drivers/virtio_console"
for step in ("unbind", "bind"):
    open(f"{driver}/{step}", "w").write(device)
end = time.time() + 20
while time.time() < end:
    try:
        port = open_port("waterbear.control")
        break
    except OSError:
        time.sleep(0.05)
while True:
    os.write(port, b'{"id":1,"ok":{"status":200}}\\n' * 100)`);
  taken.catch(() => {});
  await expect
    .poll(() => ends.get(vm.microvmId), { timeout: 60_000 })
    .toEqual({
      cause: 'guest_crashed',
      what: 'The agent in the guest went on sending what nobody had asked for.',
    });
  expect(vm.host.node.list().map(({ microvmId }) => microvmId)).toEqual([neighbour]);
  expect((await ask<{ count: number }>(vm.host.node, neighbour)).count).toBeGreaterThan(3);
});
