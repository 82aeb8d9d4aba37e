// The process under test: a whole Waterbear on the fake driver, and beside it a bare Fastify route with the same payload.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Fastify from 'fastify';
import { buildImage, startTestServer } from '../../tests/support/server.ts';
import { zipOf } from '../../tests/support/zip.ts';

/** What the parent gets to know. */
export interface Ready {
  waterbear: number;
  fastify: number;
  microvmId: string;
  region: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
}

const data = await mkdtemp(join(tmpdir(), 'waterbear-bench-'));
const it = await startTestServer({ driver: 'fake', dataDirectory: data });
const { imageArn } = await buildImage(it, 'bench', zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]));
const { id: microvmId } = await it.run(imageArn);
const answer = await it.until(microvmId, 'RUNNING');

const bare = Fastify();
const payload = { ...answer, startedAt: Number(answer.startedAt) / 1000, $metadata: undefined };
bare.get('/2025-09-09/microvms/:microvmIdentifier', async () => payload);
await bare.listen({ host: '127.0.0.1', port: 0 });

const portOf = (url: string): number => Number(new URL(url).port);
const { apiUrl, region, credentials } = it.server;
const address = bare.server.address();
const fastify = typeof address === 'object' && address ? address.port : 0;
process.send?.({ waterbear: portOf(apiUrl), fastify, microvmId, region, credentials } satisfies Ready);

// Asked with any message: the processor time used so far, in microseconds.
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.(user + system);
});
process.once('disconnect', () => void stop());

async function stop(): Promise<void> {
  await bare.close();
  await it.close();
  await rm(data, { recursive: true, force: true });
}
