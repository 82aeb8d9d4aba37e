// A host with real VMs for tests: its own data directory, the toolkit that set-up made, and requests to guests without a gateway.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Duplex } from 'node:stream';
import type { BuildOrder, NodeClient } from '../../src/contract/node-api.ts';
import type { StreamTarget } from '../../src/contract/shell-frames.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLog } from '../../src/lib/log.ts';
import { type NodeSettings, openNode } from '../../src/node/open-node.ts';
import { Relay } from '../../src/relay/relay.ts';
import { noteClosed, noteOpen } from './open-hosts.ts';
import { type ZipEntry, zipOf } from './zip.ts';

export const toolkitDirectory = resolve(import.meta.dirname, '../../.waterbear');

export interface RealNode {
  node: NodeClient;
  directory: string;
  /** Ends it and starts another one on the same data directory. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export async function startRealNode(settings: Partial<NodeSettings> = {}): Promise<RealNode> {
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-node-'));
  const open = (): Promise<NodeClient> =>
    openNode(
      {
        dataDirectory: directory,
        toolkitDirectory,
        driver: 'qemu',
        accelerator: 'tcg',
        egress: 'none',
        maxRunning: 8,
        preparedSlots: 2,
        buildIsolation: 'host',
        ...settings,
      },
      systemClock,
      silentLog,
    );
  const real: RealNode = {
    node: await open(),
    directory,
    async restart() {
      await real.node.close();
      real.node = await open();
    },
    async close() {
      noteClosed(real);
      await real.node.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
  noteOpen(real);
  return real;
}

/** The files of a Dockerfile project under tests/support/apps. */
export async function projectFiles(name: string): Promise<ZipEntry[]> {
  const directory = resolve(import.meta.dirname, 'apps', name);
  const names = await readdir(directory);
  return Promise.all(names.map(async (file) => ({ name: file, data: await readFile(join(directory, file)) })));
}

export const projectZip = async (name: string): Promise<Buffer> => zipOf(await projectFiles(name));

export function buildOrder(archivePath: string, changes: Partial<BuildOrder> = {}): BuildOrder {
  return {
    buildId: crypto.randomUUID(),
    account: '000000000000',
    imageName: 'test',
    imageArn: 'arn:aws:lambda:us-east-1:000000000000:microvm-image:test',
    imageVersion: '1.0',
    region: 'us-east-1',
    archivePath,
    baselineMib: 512,
    memoryMib: 512,
    vcpus: 1,
    diskMib: 8192,
    environment: {},
    hooks: {},
    allCapabilities: false,
    ...changes,
  };
}

/** A byte stream to a port, or a shell, of a running guest. */
export async function connectTo(node: NodeClient, microvmId: string, target: StreamTarget): Promise<Duplex> {
  const relay = node.relayOf(microvmId);
  if (!relay) throw new Error(`${microvmId} does not run`);
  return new Relay(relay).open(target);
}

/** One HTTP request to port 8080 of a guest over the host's byte stream; the parsed JSON answer. */
export async function ask<T>(node: NodeClient, microvmId: string, path = '/', body?: string): Promise<T> {
  const stream = await connectTo(node, microvmId, 8080);
  return new Promise((resolve, reject) => {
    const headers = {
      connection: 'close',
      ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
    };
    const outgoing = request(
      { createConnection: () => stream, method: body === undefined ? 'GET' : 'POST', path, headers },
      (response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve(JSON.parse(text) as T));
        response.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
