// The product, measured as a client sees it: AWS SDK calls and HTTPS requests against a server in a process of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join, resolve } from 'node:path';
import { LambdaMicrovms } from '@aws-sdk/client-lambda-microvms';
import { S3 } from '@aws-sdk/client-s3';
import { getSigned } from '../cli/server-api.ts';
import { readServerFile } from '../cli/server-file.ts';
import type { ServerFacts } from '../src/contract/server-facts.ts';
import { diskUsage } from '../src/vmm/qemu/disk-usage.ts';
import { zipOf } from '../tests/support/zip.ts';
import type { Run } from './floor.ts';

const repository = resolve(import.meta.dirname, '..');

export type StageReport = Record<'launch' | 'suspend' | 'wake', Record<string, number>>;

export interface Waterbear {
  /** Directory of the image, for the floor. */
  image: string;
  /** One run, and what the host says of its steps. */
  run(requests: number): Promise<Run & { report: StageReport }>;
  stop(): Promise<void>;
}

async function startServerProcess(data: string): Promise<ChildProcess> {
  const args = ['serve', '--data', data, '--api-port', '0', '--gateway-port', '0', '--accel', 'tcg', '--log', 'warn'];
  // What is measured begins after the build.
  args.push('--build-isolation', 'host');
  const child = spawn(process.execPath, [join(repository, 'cli/waterbear.ts'), ...args], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit').then(([code]) => {
    throw new Error(`The server ended with exit code ${code}.`);
  });
  exited.catch(() => {});
  await Promise.race([once(child, 'message'), exited]);
  return child;
}

/** Starts a server, builds bench/app. */
export async function openWaterbear(data: string, memoryMib: number): Promise<Waterbear> {
  const child = await startServerProcess(data);
  const facts = await readServerFile(data);
  const credentials = { accessKeyId: facts.accessKeyId, secretAccessKey: facts.secretAccessKey };
  const config = { endpoint: facts.apiUrl, region: facts.region, credentials };
  const [lambda, s3] = [new LambdaMicrovms(config), new S3({ ...config, forcePathStyle: true })];
  const app = join(repository, 'bench/app');
  const entries = readdirSync(app).map((name) => ({ name, data: readFileSync(join(app, name)) }));
  await s3.createBucket({ Bucket: 'bench' });
  await s3.putObject({ Bucket: 'bench', Key: 'app.zip', Body: zipOf(entries) });
  const { imageArn = '' } = await lambda.createMicrovmImage({
    ...{
      name: 'bench',
      baseImageArn: `arn:aws:lambda:${facts.region}:aws:microvm-image:al2023-1`,
      buildRoleArn: 'arn:aws:iam::000000000000:role/build',
    },
    ...{ codeArtifact: { uri: 's3://bench/app.zip' }, resources: [{ minimumMemoryInMiB: memoryMib }] },
    hooks: { port: 8080, microvmImageHooks: { ready: 'ENABLED', readyTimeoutInSeconds: 60 } },
  });
  const where = { imageIdentifier: imageArn, imageVersion: '1.0' };
  for (;;) {
    const { state } = await lambda.getMicrovmImageVersion(where);
    if (state === 'SUCCESSFUL') break;
    if (state === 'FAILED') throw new Error((await lambda.listMicrovmImageBuilds(where)).items?.[0]?.stateReason);
    await pause(200);
  }
  const { items } = await lambda.listMicrovmImageBuilds(where);
  const client = { facts, lambda, imageArn, ca: readFileSync(facts.caFile, 'utf8'), data };
  return {
    image: join(data, 'images', items?.[0]?.buildId ?? ''),
    run: (requests) => oneRun(client, requests),
    async stop() {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    },
  };
}

interface Client {
  facts: ServerFacts;
  lambda: LambdaMicrovms;
  imageArn: string;
  ca: string;
  data: string;
}

async function oneRun(client: Client, requests: number): Promise<Run & { report: StageReport }> {
  const { lambda, imageArn, facts } = client;
  const idlePolicy = { maxIdleDurationSeconds: 3600, suspendedDurationSeconds: 3600, autoResumeEnabled: true };
  const started = performance.now();
  const { microvmId = '', endpoint = '' } = await lambda.runMicrovm({ imageIdentifier: imageArn, idlePolicy });
  const vm = { microvmIdentifier: microvmId };
  const order = { ...vm, expirationInMinutes: 10, allowedPorts: [{ port: 8080 }] };
  const { authToken = {} } = await lambda.createMicrovmAuthToken(order);
  const ask = (): Promise<number> => countOf(client.ca, endpoint, authToken);
  await ask();
  const launch = performance.now() - started;
  let last = 0;
  for (let i = 0; i < requests; i++) last = await ask();
  await settle();
  const suspending = performance.now();
  await lambda.suspendMicrovm(vm);
  // Asking sooner, or more often, would slow down what is measured.
  await pause(40);
  while ((await lambda.getMicrovm(vm)).state !== 'SUSPENDED') await pause(5);
  const suspend = performance.now() - suspending;
  await settle();
  const asleepBytes = await diskUsage(join(client.data, 'vms', microvmId));
  const waking = performance.now();
  const again = await ask();
  const wake = performance.now() - waking;
  if (again <= last) throw new Error(`The MicroVM lost its memory: ${last} then ${again}`);
  const { body } = await getSigned(facts.apiUrl, `/waterbear/v1/microvms/${microvmId}`, facts, Date.now());
  await lambda.terminateMicrovm(vm);
  while ((await lambda.getMicrovm(vm)).state !== 'TERMINATED') await pause(20);
  await settle();
  return { launch, suspend, wake, asleepBytes, report: JSON.parse(body) as StageReport };
}

/** Network slots are made and removed in the background after each step; the next step is measured without that. */
const settle = (): Promise<void> => pause(1500);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The counter's value, over a connection of its own as the floor has it. */
function countOf(ca: string, endpoint: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request(`https://${endpoint}/`, { ca, headers, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => {
        if (response.statusCode === 200) resolve(Number.parseInt(text, 10));
        else reject(new Error(`The endpoint answered ${response.statusCode}.`));
      });
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}
