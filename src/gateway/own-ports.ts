// Endpoint mode `port`: which loopback port belongs to which MicroVM. Kept in a file, so that an endpoint stays the same over restarts where its port is free.
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { writeDurably } from '../lib/durable-file.ts';
import type { Gateway } from './gateway.ts';

const schema = z.record(z.string(), z.number().int().min(1).max(65535));

export interface OwnPorts {
  /** Opens the MicroVM's port. Idempotent. */
  open(microvmId: string): Promise<void>;
  close(microvmId: string): Promise<void>;
  /** `localhost:PORT` of an open one. */
  endpointOf(microvmId: string): string | undefined;
}

export async function createOwnPorts(
  gateway: Pick<Gateway, 'listenFor' | 'closeFor'>,
  path: string,
): Promise<OwnPorts> {
  const ports = new Map(Object.entries(await load(path)));
  let saved: Promise<void> = Promise.resolve();
  const save = (): Promise<void> => {
    saved = saved.catch(() => {}).then(() => writeDurably(path, JSON.stringify(Object.fromEntries(ports))));
    return saved;
  };
  return {
    async open(microvmId) {
      const { port } = await gateway.listenFor(microvmId, ports.get(microvmId));
      ports.set(microvmId, port);
      await save();
    },
    async close(microvmId) {
      if (!ports.delete(microvmId)) return;
      await gateway.closeFor(microvmId);
      await save();
    },
    endpointOf(microvmId) {
      const port = ports.get(microvmId);
      return port === undefined ? undefined : `localhost:${port}`;
    },
  };
}

async function load(path: string): Promise<Record<string, number>> {
  const text = await readFile(path, 'utf8').catch(() => '{}');
  const parsed = schema.safeParse(JSON.parse(text));
  return parsed.success ? parsed.data : {};
}
