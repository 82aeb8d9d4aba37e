// What a real guest does unasked keeps it awake: computing, and sending. What it does not do lets it sleep.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { getSigned } from '../../cli/server-api.ts';
import type { MicrovmFacts } from '../../src/app/extension.ts';
import { publicAddress, startSmallInternet } from '../real/net/small-internet.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

const port = 7777;
const idlePolicy = { maxIdleDurationSeconds: 4, suspendedDurationSeconds: 600, autoResumeEnabled: true };

// Answers at once, and then computes or sends for as long as the path says: /compute/15, /send/15, /rest/0.
const app = `import hashlib, http.server, socket, threading, time
def compute(end):
    while time.monotonic() < end:
        hashlib.sha256(b"x" * 65536).digest()
def send(end):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while time.monotonic() < end:
        for _ in range(8):
            out.sendto(b"x" * 1000, ("${publicAddress}", ${port}))
        time.sleep(0.5)
def rest(end):
    while True:
        time.sleep(0.05)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        _, what, seconds = self.path.split("/")
        work = {"compute": compute, "send": send, "rest": rest}[what]
        threading.Thread(target=work, args=(time.monotonic() + int(seconds),), daemon=True).start()
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
`;
const dockerfile = 'FROM localhost/waterbear/python:3\nCOPY app.py /\nCMD ["python3", "/app.py"]\n';

const stack = new AsyncDisposableStack();
let it: TestServer;
let imageArn = '';
beforeAll(async () => {
  stack.use(await startSmallInternet(port));
  it = await startTestServer({ egress: 'internet', egressUdp: true });
  stack.defer(() => it.close());
  const files = { Dockerfile: dockerfile, 'app.py': app };
  const zip = zipOf(Object.entries(files).map(([name, data]) => ({ name, data: Buffer.from(data) })));
  const built = await it.build('signals', zip);
  expect(built.state).toBe('SUCCESSFUL');
  imageArn = built.imageArn;
});
afterAll(() => stack.disposeAsync());

/** Lets it begin and waits until it sleeps. */
async function sleepAfter(path: string): Promise<MicrovmFacts> {
  const vm = await it.run(imageArn, { idlePolicy });
  expect((await it.get(vm.endpoint, vm.token, path)).status).toBe(200);
  await it.until(vm.id, 'SUSPENDED');
  const { apiUrl, region, credentials } = it.server;
  const answer = await getSigned(apiUrl, `/waterbear/v1/microvms/${vm.id}`, { region, ...credentials }, Date.now());
  await it.lambda.terminateMicrovm({ microvmIdentifier: vm.id });
  return JSON.parse(answer.body) as MicrovmFacts;
}

test.each([
  ['compute', 'cpu', 'outbound'],
  ['send', 'outbound', 'cpu'],
] as const)(
  'one that goes on to %s is awake meanwhile, and sleeps when it has stopped',
  async (what, signal, other) => {
    const { sleep } = await sleepAfter(`/${what}/15`);
    expect(sleep).toMatchObject({ cause: 'idle', lastSignal: signal });
    const { endpoint = 0, [signal]: quiet = 0, [other]: otherQuiet = 0 } = sleep?.quietSeconds ?? {};
    // Its policy alone would have ended it long before.
    expect(endpoint - quiet).toBeGreaterThanOrEqual(8);
    expect(otherQuiet).toBeGreaterThan(quiet);
  },
);

test('timers do not keep it awake', async () => {
  // It would never sleep otherwise.
  expect((await sleepAfter('/rest/0')).sleep).toMatchObject({ cause: 'idle' });
});
