// A shell in a real MicroVM through the endpoint: what a person at a terminal expects, where it runs, and what it leaves behind.
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { managedConnectorArn } from '../../src/lib/arn.ts';
import { projectZip } from '../support/real-node.ts';
import { poll, startTestServer, type TestServer } from '../support/server.ts';
import { vmmsOf } from '../support/vmms.ts';
import { type Client, newClient, opened } from '../support/web-socket-client.ts';

let it: TestServer;
let imageArn: string;
let vm: { id: string; endpoint: string };
let ca: string;
const idlePolicy = { maxIdleDurationSeconds: 3_600, suspendedDurationSeconds: 600, autoResumeEnabled: true };

beforeAll(async () => {
  it = await startTestServer();
  ca = await readFile(it.server.caFile, 'utf8');
  ({ imageArn } = await it.build('shell', await projectZip('privileges'), {
    environmentVariables: { WHO: 'application' },
  }));
  vm = await launch();
});
afterAll(() => it?.close());

async function launch(): Promise<{ id: string; endpoint: string }> {
  const ingress = ['HTTP_INGRESS', 'SHELL_INGRESS'].map((name) => managedConnectorArn('us-east-1', name));
  return it.run(imageArn, { ingressNetworkConnectors: ingress, idlePolicy });
}

async function connect(path = '/shell'): Promise<Client> {
  const order = { microvmIdentifier: vm.id, expirationInMinutes: 5 };
  const { authToken = {} } = await it.lambda.createMicrovmShellAuthToken(order);
  return opened(newClient({ url: `wss://${vm.endpoint}${path}`, ca, headers: authToken }));
}

async function terminal(): Promise<Client> {
  const shell = await connect();
  await shell.until('$ ');
  return shell;
}

interface Answer {
  out: string;
  errors: string;
  exit: Record<string, unknown> | undefined;
}

/** Runs a command without a terminal. */
async function run(...argv: string[]): Promise<Answer> {
  const shell = await connect('/shell?command');
  let [out, errors] = ['', ''];
  shell.socket.on('message', (data: Buffer, isBinary: boolean) => {
    if (!isBinary) return;
    if (data[0] === 1) out += data.subarray(1);
    else errors += data.subarray(1);
  });
  shell.tell({ type: 'command', argv, terminal: false });
  expect(await shell.closed()).toEqual({ code: 1000, reason: 'shell exited' });
  return { out, errors, exit: shell.heard.control.at(-1) };
}

/** What runs in the application's process namespace, as `stat` has it. */
async function processes(): Promise<string[]> {
  const { out } = await run('python3', '-c', list);
  return out.split('\n').filter((line) => line !== '');
}
const list = `
import os
for pid in sorted(int(p) for p in os.listdir("/proc") if p.isdigit()):
    try: text = open(f"/proc/{pid}/stat").read()
    except OSError: continue
    name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
    if pid != os.getpid() and not (name == "waterbear-shell" and pid == os.getppid()): print(name, rest[0])`;

/** The keepers of connections that just ended may need a moment. */
async function untilOnly(expected: string[]): Promise<void> {
  let seen: string[] = [];
  for (let round = 0; round < 50; round++) {
    // As long as too many keepers are there, one more is refused.
    seen = await processes().catch((error: Error) => [error.message]);
    if (seen.join() === expected.join()) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  expect(seen).toEqual(expected);
}

test('a terminal: prompt, size, keys, job control, exit code', async () => {
  const shell = await connect();
  expect(await shell.until('$ ')).toMatch(/λ \$ $/);
  shell.type('stty size; tty; echo $TERM $WHO $HOME $((6*7))\r');
  expect(await shell.until(' 42\r\n')).toMatch(/0 0\r\n\/dev\/pts\/0\r\nxterm application \/root 42\r\n/);
  shell.tell({ type: 'resize', cols: 120, rows: 40 });
  shell.type('stty size\r');
  await shell.until('40 120\r\n');
  shell.type('echo fed-$((1+1))\n');
  await shell.until('fed-2\r\n');
  shell.type("sh -c 'echo begun-$((1+1)); exec sleep 1000'\r");
  await shell.until('begun-2\r\n');
  shell.type('\x03');
  await shell.until('^C');
  shell.type('echo was=$?\r');
  await shell.until('was=130\r\n');
  shell.type("sh -c 'echo again-$((1+1)); exec sleep 1000'\r");
  await shell.until('again-2\r\n');
  shell.type('\x1a');
  await shell.until('Stopped');
  shell.type('bg; kill %1; wait; echo done-$((1+1))\r');
  await shell.until('done-2\r\n');
  shell.type('exit 7\r');
  expect(await shell.closed()).toEqual({ code: 1000, reason: 'shell exited' });
  expect(shell.heard.control.at(-1)).toEqual({ type: 'exit', code: 7 });
});

test('it is where the application is, and may do what the application may', async () => {
  const compare = `
import os, json
def about(pid):
    links = {n: os.readlink(f"/proc/{pid}/ns/{n}") for n in ("mnt", "pid", "net", "cgroup", "uts", "ipc", "user")}
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status").read().splitlines())
    kept = {n: status[n].strip() for n in ("Uid", "Gid", "CapPrm", "CapEff", "CapBnd", "CapInh", "Seccomp", "NoNewPrivs")}
    return {**links, **kept, "root": os.readlink(f"/proc/{pid}/root"), "group": open(f"/proc/{pid}/cgroup").read(), "limits": open(f"/proc/{pid}/limits").read()}
own, app = about("self"), about(1)
print(json.dumps({"differs": [n for n in own if own[n] != app[n]], "descriptors": sorted(os.listdir("/proc/self/fd")), "cwd": os.getcwd()}))`;
  const { out, errors } = await run('python3', '-c', compare);
  expect(errors).toBe('');
  expect(JSON.parse(out)).toEqual({ differs: [], descriptors: ['0', '1', '2', '3'], cwd: '/' });
  // Neither the keeper nor its way in leaves anything of the agent's within reach.
  const keeper = await run(
    'sh',
    '-c',
    'ls -l /proc/$PPID/fd; tr "\\0" " " </proc/$PPID/cmdline; ls /proc/$PPID/task | wc -l',
  );
  expect(keeper.out).not.toMatch(/vport|ttyS|console|kmsg|memfd|pidfd|\[pidfd\]/);
  expect(keeper.out).toContain('waterbear-shell');
});

test('commands: both outputs, input to its end, exit codes and signals, what cannot be executed', async () => {
  expect(await run('sh', '-c', 'echo out; echo bad >&2; exit 3')).toEqual({
    ...{ out: 'out\n', errors: 'bad\n' },
    exit: { type: 'exit', code: 3 },
  });
  expect((await run('sh', '-c', 'kill -9 $$')).exit).toEqual({ type: 'exit', signal: 9 });
  expect(await run('no-such-thing')).toMatchObject({ errors: 'no-such-thing: not found\n', exit: { code: 127 } });
  expect(await run('/etc/passwd')).toMatchObject({ exit: { code: 126 } });
  const counting = await connect('/shell?command');
  counting.tell({ type: 'command', argv: ['sha256sum'], terminal: false });
  for (let piece = 0; piece < 40; piece++) counting.socket.send(Buffer.alloc(100_000, 'x'));
  counting.tell({ type: 'end_of_input' });
  await counting.closed();
  expect(counting.heard.bytes).toContain(createHash('sha256').update('x'.repeat(4_000_000)).digest('hex'));
  expect(counting.heard.control.at(-1)).toEqual({ type: 'exit', code: 0 });
  const big = await run('head', '-c', '5000000', '/dev/zero');
  expect(big.out.length).toBe(5_000_000);
});

test('several at once, no more than sixteen, and none is left in the guest', async () => {
  const shells = await Promise.all(Array.from({ length: 16 }, () => terminal()));
  const one = await connect();
  expect(await one.closed()).toEqual({ code: 1008, reason: expect.stringContaining('too many') });
  shells[0]?.type('sleep 1000 & sleep 1001\r');
  shells[1]?.type("trap '' HUP; sleep 1002 & cat\r");
  shells[2]?.type('sh -c "sleep 1003; true" | cat\r');
  await shells[2]?.until('cat\r\n');
  for (const shell of shells) shell.socket.terminate();
  await untilOnly(['python3 S']);
});

test('endless output waits for its reader, and Ctrl-C gets through', async () => {
  const shell = await terminal();
  shell.type('yes\r');
  await shell.until('y\r\ny\r\n');
  shell.socket.pause();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  shell.type('\x03');
  shell.socket.resume();
  shell.type('echo was=$?\r');
  await shell.until('was=130\r\n');
  shell.type('exit\r');
  await shell.closed();
  await untilOnly(['python3 S']);
});

describe('a suspend', () => {
  test('ends shells with 1001; a new one wakes the MicroVM, where the old ones were hung up', async () => {
    const shell = await terminal();
    shell.type("setsid -f sh -c 'echo own-$((1+1)); exec sleep 2000'\r");
    await shell.until('own-2\r\n');
    shell.type('sleep 2001\r');
    await shell.until('sleep 2001\r\n');
    await it.lambda.suspendMicrovm({ microvmIdentifier: vm.id });
    expect(await shell.closed()).toMatchObject({ code: 1001 });
    await it.until(vm.id, 'SUSPENDED');
    const again = await terminal();
    again.type('echo awake-$((1+1))\r');
    await again.until('awake-2\r\n');
    again.type('exit\r');
    await again.closed();
    // What left the session for one of its own lives on, as with any terminal.
    await untilOnly(['python3 S', 'sleep S']);
    await run('sh', '-c', 'kill $(grep -lx sleep /proc/[0-9]*/comm | cut -d/ -f3)');
  });

  test('two hundred idle WebSockets hear 1001, leave no descriptor, and come back by one wake', async () => {
    await run('setsid', '-f', 'python3', '-c', server);
    const portHeaders = { ...(await it.token(vm.id, 9_000)), 'x-aws-proxy-port': '9000' };
    const url = `wss://${vm.endpoint}/`;
    const all = (): Promise<Client[]> =>
      Promise.all(Array.from({ length: 200 }, () => opened(newClient({ url, ca, headers: portHeaders }))));
    await poll('the WebSocket server', () =>
      opened(newClient({ url, ca, headers: portHeaders })).catch(() => undefined),
    );
    const before = descriptors();
    const first = await all();
    await it.lambda.suspendMicrovm({ microvmIdentifier: vm.id });
    const codes = await Promise.all(first.map((one) => one.closed()));
    expect(new Set(codes.map(({ code }) => code))).toEqual(new Set([1001]));
    await it.until(vm.id, 'SUSPENDED');
    const second = await all();
    expect((await it.lambda.getMicrovm({ microvmIdentifier: vm.id })).state).toBe('RUNNING');
    for (const one of second) one.socket.terminate();
    for (let round = 0; descriptors() > before && round < 100; round++) await new Promise((r) => setTimeout(r, 50));
    expect(descriptors()).toBeLessThanOrEqual(before);
  });
});

/** Of this process, which is the server. */
const descriptors = (): number => readdirSync('/proc/self/fd').length;

/** A WebSocket server that says nothing. */
const server = `
import base64, hashlib, socket, threading
def serve(client):
    text = b""
    while b"\\r\\n\\r\\n" not in text: text += client.recv(4096)
    key = next(l.split(b": ")[1] for l in text.split(b"\\r\\n") if l.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    client.sendall(b"HTTP/1.1 101 X\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nSec-WebSocket-Accept: " + accept + b"\\r\\n\\r\\n")
    try:
        while client.recv(4096): pass
    except OSError: pass
    client.close()
listener = socket.create_server(("127.0.0.1", 9000), backlog=512)
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()`;

test('a MicroVM whose VMM dies says 1001, and so does one that is terminated', async () => {
  const others = vmmsOf(it.data);
  const calm = vm;
  vm = await launch();
  const shell = await terminal();
  for (const pid of vmmsOf(it.data).filter((one) => !others.includes(one))) process.kill(Number(pid), 'SIGKILL');
  expect(await shell.closed()).toMatchObject({ code: 1001 });
  await it.until(vm.id, 'TERMINATED');
  vm = calm;
  const last = await terminal();
  await it.lambda.terminateMicrovm({ microvmIdentifier: vm.id });
  expect(await last.closed()).toMatchObject({ code: 1001 });
});
