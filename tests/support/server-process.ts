// `waterbear serve` as a process of its own, for tests that look at it from outside.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { LambdaMicrovms } from '@aws-sdk/client-lambda-microvms';
import { S3 } from '@aws-sdk/client-s3';
import type { ServerFacts } from '../../src/contract/server-facts.ts';

const command = resolve(import.meta.dirname, '../../bin/waterbear');

export interface ServerProcess {
  readonly child: ChildProcess;
  readonly facts: ServerFacts;
  readonly lambda: LambdaMicrovms;
  readonly s3: S3;
  /** PEM of the endpoints' authority. */
  readonly ca: string;
  /** Resolves with the exit code when the process has ended; null when it had before, or a signal ended it. */
  stop(signal: NodeJS.Signals): Promise<number | null>;
}

/** On real VMs; Dockerfiles are built on the host. Resolves when it serves, rejects when it ends before. */
export function startServerProcess(data: string, ...more: string[]): Promise<ServerProcess> {
  return startServerIn(process.env, data, ...more);
}

/** In another environment, e.g. one that makes its disk fail (faulty-server.ts). */
export async function startServerIn(env: NodeJS.ProcessEnv, data: string, ...more: string[]): Promise<ServerProcess> {
  const ports = ['--api-port', '0', '--gateway-port', '0'];
  const args = ['serve', '--data', data, ...ports, '--accel', 'tcg', '--build-isolation', 'host', ...more];
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env });
  const [{ listening: facts }] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`the server ended with ${code}`);
    }),
  ])) as [{ listening: ServerFacts }];
  const credentials = { accessKeyId: facts.accessKeyId, secretAccessKey: facts.secretAccessKey };
  const config = { endpoint: facts.apiUrl, region: facts.region, credentials };
  return {
    child,
    facts,
    lambda: new LambdaMicrovms(config),
    s3: new S3({ ...config, forcePathStyle: true }),
    ca: await readFile(facts.caFile, 'utf8'),
    async stop(signal) {
      if (child.exitCode !== null || child.signalCode !== null) return null;
      const gone = once(child, 'exit');
      child.kill(signal);
      return (await gone)[0] as number | null;
    },
  };
}
