// A pass of a running server's scrubber, as fast as can be.
import { askServer, getSigned, membersOf } from '../../cli/server-api.ts';
import { readServerFile } from '../../cli/server-file.ts';
import type { ScrubFacts } from '../../src/app/scrubbing.ts';
import { poll } from './server.ts';

const path = '/waterbear/v1/scrub';

/** What the server knows now. */
export async function statusOf(dataDirectory: string): Promise<ScrubFacts> {
  const server = await readServerFile(dataDirectory);
  return membersOf(await getSigned(server.apiUrl, path, server, Date.now())) as unknown as ScrubFacts;
}

/** Resolves with what it found. */
export async function scrubbed(dataDirectory: string): Promise<ScrubFacts> {
  const server = await readServerFile(dataDirectory);
  const begun = (await askServer(server, path, { mibPerSecond: 0 }, Date.now())) as unknown as ScrubFacts;
  return poll('the end of the pass', async () => {
    const facts = await statusOf(dataDirectory);
    return facts.last?.startedAt === begun.underWay?.startedAt ? facts : undefined;
  });
}
