// The host's share, once for each server: a reserved /16, one nft table, and IP forwarding while egress is on.
import { readFileSync, writeFileSync } from 'node:fs';
import { chooseRange } from './addresses.ts';
import { hostRules, instancesOnHost, withoutHostRules } from './host-rules.ts';
import { askJson, ipBatch, missingRight, nftLoad } from './network-tools.ts';
import type { Egress } from './slot-rules.ts';

const forwardingFile = '/proc/sys/net/ipv4/ip_forward';

interface Route {
  dst?: string;
  type?: string;
  metric?: number;
}

/** The metric marks the route that reserves a range as that of one instance. */
const reservationMetric = (instance: string): number => 0x1000000 + Number.parseInt(instance, 16);

/** Sets the host up and returns the range of the slots' links. Expects what an earlier run left to be swept. */
export async function openHost(
  instance: string,
  egress: Egress,
  options: { range?: string | undefined; resolver?: string | undefined } = {},
): Promise<string> {
  const [routes, instances] = await Promise.all([listRoutes(), instancesOnHost()]);
  const destinations = routes.flatMap(({ dst }) => (dst ? [dst] : []));
  const range = chooseRange(destinations, options.range);
  // Two servers on one host: the last to go turns forwarding off again, so the mark is handed on.
  const forwardingWasOff = egress === 'internet' && (!forwarding() || instances.forwardingWasOff.length > 0);
  await nftLoad(
    hostRules({
      instance,
      range,
      egress,
      resolver: options.resolver,
      serverUid: process.getuid?.() ?? 0,
      forwardingWasOff,
    }),
  );
  // Reserves the range, and keeps packets to slots that are gone from leaving by the default route.
  await ipBatch([`route add unreachable ${range} metric ${reservationMetric(instance)}`]);
  if (egress === 'internet') setForwarding(true);
  return range;
}

/** Takes the host's share back, or what there is of it. */
export async function closeHost(instance: string): Promise<void> {
  const [routes, instances] = await Promise.all([listRoutes(), instancesOnHost()]);
  const reserved = routes.filter(
    ({ type, metric }) => type === 'unreachable' && metric === reservationMetric(instance),
  );
  const lines = reserved.map(({ dst, metric }) => `route del unreachable ${dst} metric ${metric}`);
  if (lines.length > 0) await ipBatch(lines, { keepGoing: true });
  const others = instances.forwardingWasOff.filter((other) => other !== instance);
  if (instances.forwardingWasOff.includes(instance) && others.length === 0) setForwarding(false);
  if (instances.all.includes(instance)) await nftLoad(withoutHostRules(instance));
}

async function listRoutes(): Promise<Route[]> {
  return (await askJson('ip', ['-4', 'route', 'show', 'table', 'all'])) as Route[];
}

function forwarding(): boolean {
  return readFileSync(forwardingFile, 'utf8').trim() === '1';
}

function setForwarding(on: boolean): void {
  if (forwarding() === on) return;
  try {
    writeFileSync(forwardingFile, on ? '1' : '0');
  } catch (error) {
    throw missingRight(`to write ${forwardingFile}`, error);
  }
}
