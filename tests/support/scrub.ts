// A pass of a running server's scrubber, as fast as can be.
import { askServer, getSigned, membersOf } from '../../cli/server-api.ts';
import { readServerFile } from '../../cli/server-file.ts';
import type { ScrubFacts } from '../../src/app/scrubbing.ts';
import { poll } from './server.ts';

/** Resolves with what it found. */
export async function scrubbed(dataDirectory: string): Promise<ScrubFacts> {
  const server = await readServerFile(dataDirectory);
  const path = '/waterbear/v1/scrub';
  const begun = (await askServer(server, path, { mibPerSecond: 0 }, Date.now())) as unknown as ScrubFacts;
  return poll('the end of the pass', async () => {
    const answer = await getSigned(server.apiUrl, path, server, Date.now());
    const facts = membersOf(answer) as unknown as ScrubFacts;
    return facts.last?.startedAt === begun.underWay?.startedAt ? facts : undefined;
  });
}
