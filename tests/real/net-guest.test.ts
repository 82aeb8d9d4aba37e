// The network as a real VM has it, and the RUN steps of its image: names through the server, TCP outside, nothing else.
import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ask, buildOrder, startRealNode } from '../support/real-node.ts';
import { zipOf } from '../support/zip.ts';
import { lanAddress, publicAddress, startSmallInternet } from './net/small-internet.ts';

const port = 7777;

// A web server that runs the probe named by the path: /tcp/203.0.113.7/7777.
const app = `import http.server, subprocess, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        run = subprocess.run([sys.executable, "/probe.py", *self.path.strip("/").split("/")], capture_output=True)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(run.stdout)
http.server.HTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
`;
const dockerfile = `FROM localhost/waterbear/python:3
COPY probe.py app.py once /
RUN echo "names: $(python3 /probe.py dns x.localhost A udp)"; cat /etc/resolv.conf
RUN echo "tcp: $(python3 /probe.py tcp ${publicAddress} ${port}) udp: $(python3 /probe.py udp ${publicAddress} ${port} x)"
RUN echo "lan: $(python3 /probe.py tcp ${lanAddress} ${port})"
CMD ["python3", "/app.py"]
`;

test('names and TCP in RUN steps and in the VM; no UDP, no private network', async () => {
  await using small = await startSmallInternet(port);
  await using stack = new AsyncDisposableStack();
  const host = await startRealNode({ egress: 'internet', maxRunning: 3, preparedSlots: 1 });
  stack.defer(() => host.close());
  const archivePath = join(host.directory, 'app.zip');
  const probe = await readFile(join(import.meta.dirname, 'net/guest-probe.py'));
  // No layer of an earlier run fits: its steps would not be run.
  const files = { Dockerfile: dockerfile, 'app.py': app, 'probe.py': probe, once: randomUUID() };
  await writeFile(archivePath, zipOf(Object.entries(files).map(([name, data]) => ({ name, data: Buffer.from(data) }))));
  const order = buildOrder(archivePath);
  let log = '';
  await host.node.build(order, (text) => {
    log += text;
  });
  expect(log).toMatch(/names: \{"code": 0, "cut": false, "found": \["127\.0\.0\.1"\]/);
  expect(log).toContain('nameserver 10.111.0.1');
  expect(log).toMatch(/tcp: "connected" udp: "(EPERM|EHOSTUNREACH)"/);
  expect(log).toContain('lan: "EHOSTUNREACH"');
  await host.node.launch({ microvmId: 'microvm-net', buildId: order.buildId });
  const say = <T = string>(...path: (string | number)[]) => ask<T>(host.node, 'microvm-net', `/${path.join('/')}`);
  expect(await say('tcp', publicAddress, port)).toBe('connected');
  expect(await say('udp', publicAddress, port, 'x')).toBe('EHOSTUNREACH');
  expect(await say('tcp', lanAddress, port)).toBe('EHOSTUNREACH');
  for (const over of ['udp', 'tcp']) {
    expect(await say<object>('dns', 'x.localhost', 'A', over)).toMatchObject({ code: 0, found: ['127.0.0.1'] });
  }
  expect(small.servers.lines.filter((line) => line.startsWith('udp'))).toEqual([]);
});

test.each([
  ['internet', false],
  ['none', true],
] as const)('a host with egress %s promises to confine a single MicroVM: %s', async (egress, confinesEgress) => {
  const host = await startRealNode({ egress, buildIsolation: 'vm', maxRunning: 1, preparedSlots: 1 });
  try {
    expect(host.node.info()).toMatchObject({ confinesEgress });
  } finally {
    await host.close();
  }
});
