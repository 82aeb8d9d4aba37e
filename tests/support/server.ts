// A whole server for tests, used through the AWS SDKs and HTTPS as a user would.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type CreateMicrovmImageRequest,
  type GetMicrovmResponse,
  LambdaMicrovms,
  type RunMicrovmRequest,
} from '@aws-sdk/client-lambda-microvms';
import { S3 } from '@aws-sdk/client-s3';
import { parseSettings, type ServerOptions, type ServerSettings } from '../../src/config/settings.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { within } from '../../src/lib/deadline.ts';
import { createLog, silentLog } from '../../src/lib/log.ts';
import { type RunningServer, startServer } from '../../src/main.ts';
import { openNode } from '../../src/node/open-node.ts';
import { noteClosed, noteOpen } from './open-hosts.ts';
import { toolkitDirectory } from './real-node.ts';

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

export type Token = Record<string, string>;

export interface TestServer {
  readonly server: RunningServer;
  readonly data: string;
  readonly lambda: LambdaMicrovms;
  readonly s3: S3;
  /** Uploads the zip, creates the image, waits for the end of its build. */
  build(name: string, zip: Buffer, more?: Partial<CreateMicrovmImageRequest>): Promise<BuildResult>;
  run(imageArn: string, more?: Partial<RunMicrovmRequest>): Promise<{ id: string; endpoint: string; token: Token }>;
  token(id: string, port?: number): Promise<Token>;
  until(id: string, state: GetMicrovmResponse['state']): Promise<GetMicrovmResponse>;
  get(endpoint: string, headers: Token, path?: string, body?: string): Promise<Answer>;
  restart(): Promise<void>;
  /** Nothing of it runs or is kept afterwards, also when it rejects. */
  close(): Promise<void>;
}

export interface BuildResult {
  imageArn: string;
  state: string | undefined;
  status: string | undefined;
  /** Of the build. */
  reason: string | undefined;
}

const bucket = 'test-bucket';
const waitMs = 120_000;

export async function poll<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const end = Date.now() + waitMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`${what} did not happen within ${waitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** `existing`: the data directory is one of an earlier server, with the test bucket in it. */
export async function startTestServer({
  existing = false,
  ...options
}: Partial<ServerOptions> & { existing?: boolean } = {}): Promise<TestServer> {
  const data = options.dataDirectory ?? (await mkdtemp(join(tmpdir(), 'waterbear-server-')));
  const forget = async (error: unknown): Promise<never> => {
    if (!options.dataDirectory) await rm(data, { recursive: true, force: true });
    throw error;
  };
  const settings = await Promise.resolve()
    .then(() =>
      parseSettings({
        ...{ dataDirectory: data, toolkitDirectory, accelerator: 'tcg', apiPort: 0, gatewayPort: 0, egress: 'none' },
        buildIsolation: 'host',
        ...options,
      }),
    )
    .catch(forget);
  let ca = '';
  const open = async () => {
    const server = await startServer(settings, createLog('error'));
    ca = await readFile(server.caFile, 'utf8');
    const { apiUrl: endpoint, region, credentials } = server;
    const requestHandler = { requestTimeout: waitMs, throwOnRequestTimeout: true };
    const config = { endpoint, region, credentials, maxAttempts: 1, requestHandler };
    return { server, lambda: new LambdaMicrovms(config), s3: new S3({ ...config, forcePathStyle: true }) };
  };
  let current = await open().catch(forget);
  const it: TestServer = {
    data,
    get server() {
      return current.server;
    },
    get lambda() {
      return current.lambda;
    },
    get s3() {
      return current.s3;
    },
    build: (name, zip, more = {}) => buildImage(current, name, zip, more),
    async run(imageArn, more = {}) {
      const { microvmId: id = '', endpoint = '' } = await it.lambda.runMicrovm({ imageIdentifier: imageArn, ...more });
      return { id, endpoint, token: await it.token(id) };
    },
    async token(id, port = 8080) {
      const order = { microvmIdentifier: id, expirationInMinutes: 30, allowedPorts: [{ port }] };
      return (await it.lambda.createMicrovmAuthToken(order)).authToken ?? {};
    },
    until: (id, state) => untilState(current.lambda, id, state),
    get: (endpoint, headers, path = '/', body) =>
      within(waitMs, `An answer of ${endpoint}${path}`, sendRequest(ca, endpoint, headers, path, body)),
    async restart() {
      await current.server.close();
      current = await open();
    },
    async close() {
      noteClosed(it);
      let left: number | undefined;
      try {
        left = await within(waitMs, 'Closing the server', current.server.close());
      } finally {
        if (left !== 0) await endVms(settings);
        await rm(data, { recursive: true, force: true });
      }
    },
  };
  noteOpen(it);
  if (!existing) await it.s3.createBucket({ Bucket: bucket });
  return it;
}

/** A VM that could not be suspended runs on for the next server. A test has none. */
async function endVms(settings: ServerSettings): Promise<void> {
  const node = await openNode(settings, systemClock, silentLog);
  await within(waitMs, 'Ending what was left', node.close());
}

/** The endpoint as returned, resolved by the system. Rejects when the connection breaks before the answer is whole. */
export function sendRequest(
  ca: string,
  endpoint: string,
  headers: Token,
  path: string,
  body: string | undefined,
  signal?: AbortSignal,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST';
    const options = { ca, headers, method, agent: false, ...(signal ? { signal } : {}) };
    const outgoing = request(`https://${endpoint}${path}`, options, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      response.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Uploads the zip to the test bucket, creates the image, waits for the end of its build. */
export async function buildImage(
  { lambda, s3 }: { lambda: LambdaMicrovms; s3: S3 },
  name: string,
  zip: Buffer,
  more: Partial<CreateMicrovmImageRequest> = {},
): Promise<BuildResult> {
  await s3.putObject({ Bucket: bucket, Key: `${name}.zip`, Body: zip });
  const created = await lambda.createMicrovmImage({
    ...{
      name,
      baseImageArn: 'arn:aws:lambda:us-east-1:aws:microvm-image:al2023-1',
      buildRoleArn: 'arn:aws:iam::000000000000:role/build',
    },
    ...{ codeArtifact: { uri: `s3://${bucket}/${name}.zip` }, resources: [{ minimumMemoryInMiB: 512 }] },
    ...more,
  });
  const { imageArn = '', imageVersion = '' } = created;
  const where = { imageIdentifier: imageArn, imageVersion };
  const version = await poll(`the build of ${name}`, async () => {
    const found = await lambda.getMicrovmImageVersion(where);
    return found.state === 'SUCCESSFUL' || found.state === 'FAILED' ? found : undefined;
  });
  const builds = await lambda.listMicrovmImageBuilds(where);
  return { imageArn, state: version.state, status: version.status, reason: builds.items?.[0]?.stateReason };
}

export function untilState(
  lambda: LambdaMicrovms,
  id: string,
  state: GetMicrovmResponse['state'],
): Promise<GetMicrovmResponse> {
  return poll(`${id} becoming ${state}`, async () => {
    const found = await lambda.getMicrovm({ microvmIdentifier: id });
    return found.state === state ? found : undefined;
  });
}
