// Where real clients meet real VMs: `waterbear serve` as a process of its own, one image of apps/clients, and MicroVMs of it.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunMicrovmRequest } from '@aws-sdk/client-lambda-microvms';
import { getSigned, membersOf } from '../../cli/server-api.ts';
import { openAuthority } from '../../src/gateway/authority.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { ports } from './apps/clients/ports.ts';
import { nodeAppZip } from './node-app.ts';
import { buildImage, untilState } from './server.ts';
import { type ServerProcess, startServerProcess } from './server-process.ts';

export { ports };

export interface Guest {
  id: string;
  /** `HOST:PORT`. */
  endpoint: string;
  host: string;
  port: number;
  /** Opens every port. */
  token: string;
}

/** What the extension API says of a MicroVM, as far as tests ask. */
export interface Report {
  wake: Record<string, number>;
  traffic: { wakes: number; heldRequests: number; heldMs: number };
}

/** What tests look for in the access log. */
export interface AccessLine {
  microvmId: string;
  protocol: string;
  path: string;
  end: string;
  bytesIn: number;
  bytesOut: number;
}

export interface Place extends AsyncDisposable {
  server: ServerProcess;
  /** What the access log says so far, oldest first. */
  accessLog(): Promise<AccessLine[]>;
  /** It sleeps when it is told to, and wakes by requests. */
  launch(more?: Partial<RunMicrovmRequest>): Promise<Guest>;
  /** Resolves when it is SUSPENDED. */
  suspend(guest: Guest): Promise<void>;
  terminate(...guests: Guest[]): Promise<void>;
  report(guest: Guest): Promise<Report>;
}

const idlePolicy = { maxIdleDurationSeconds: 3_600, suspendedDurationSeconds: 3_600, autoResumeEnabled: true };

export async function openPlace(): Promise<Place> {
  const data = await mkdtemp(join(tmpdir(), 'waterbear-clients-'));
  const stack = new AsyncDisposableStack();
  stack.defer(() => rm(data, { recursive: true, force: true }));
  try {
    const accessLog = join(data, 'access.log');
    const server = await startServerProcess(data, '--gateway-threads', '2', '--access-log', accessLog);
    stack.defer(async () => void (await server.stop('SIGTERM')));
    const imageArn = await build(server, join(data, 'app-tls'));
    return placeOf(server, imageArn, accessLog, stack);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function build(server: ServerProcess, directory: string): Promise<string> {
  const tls = await openAuthority({ directory, suffix: 'app.localhost', loopback: false, clock: systemClock });
  const identity = [
    { name: 'app.key', data: tls.key },
    { name: 'app.crt', data: tls.cert },
  ];
  await server.s3.createBucket({ Bucket: 'test-bucket' });
  const zip = await nodeAppZip('clients', ['@grpc/grpc-js', 'ws'], identity);
  const built = await buildImage(server, 'clients', zip);
  if (built.state !== 'SUCCESSFUL') throw new Error(`the image could not be built: ${built.reason}`);
  return built.imageArn;
}

function placeOf(server: ServerProcess, imageArn: string, accessLog: string, stack: AsyncDisposableStack): Place {
  const { lambda, facts } = server;
  return {
    server,
    async accessLog() {
      const lines = (await readFile(accessLog, 'utf8')).split('\n').filter(Boolean);
      return lines.map((line) => JSON.parse(line) as AccessLine);
    },
    async launch(more = {}) {
      const { microvmId: id = '', endpoint = '' } = await lambda.runMicrovm({
        imageIdentifier: imageArn,
        idlePolicy,
        ...more,
      });
      const { authToken = {} } = await lambda.createMicrovmAuthToken({
        microvmIdentifier: id,
        expirationInMinutes: 60,
        allowedPorts: [{ allPorts: {} }],
      });
      const [host = '', port] = endpoint.split(':');
      return { id, endpoint, host, port: Number(port), token: authToken['X-aws-proxy-auth'] ?? '' };
    },
    async suspend({ id }) {
      await lambda.suspendMicrovm({ microvmIdentifier: id });
      await untilState(lambda, id, 'SUSPENDED');
    },
    async terminate(...guests) {
      await Promise.all(guests.map(({ id }) => lambda.terminateMicrovm({ microvmIdentifier: id })));
      await Promise.all(guests.map(({ id }) => untilState(lambda, id, 'TERMINATED')));
    },
    async report({ id }) {
      const answer = await getSigned(facts.apiUrl, `/waterbear/v1/microvms/${id}`, facts, Date.now());
      return membersOf(answer) as unknown as Report;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
