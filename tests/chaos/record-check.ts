// What the server says of a MicroVM's past beside the AWS API.
import { z } from 'zod';
import { getSigned, membersOf } from '../../cli/server-api.ts';
import { stateOf } from './acts.ts';
import type { VmEntry } from './ledger.ts';
import { wentBack } from './strike.ts';
import type { World } from './world.ts';

const facts = z.looseObject({ wentBack: z.object({ times: z.number() }).optional() });

/** Whether it went back to its last sleep is what its record says, and whoever asks for the MicroVM hears it. */
export async function checkRecord(world: World, entry: VmEntry): Promise<void> {
  const server = world.running.facts;
  await world.steady();
  const path = `/waterbear/v1/microvms/${entry.id}`;
  const answer = await getSigned(server.apiUrl, path, server, Date.now() + world.clockOffset());
  const times = facts.parse(membersOf(answer)).wentBack?.times ?? 0;
  const before = entry.wentBack;
  for (const sentence of wentBack(entry, times)) world.findings.add('lost', `${entry.id}: ${sentence}`);
  if (times === before) return;
  const { state, stateReason } = await stateOf(world, entry);
  if (!stateReason?.includes('is lost'))
    world.findings.add('lost', `${entry.id} went back, is ${state} and does not say so`);
}
