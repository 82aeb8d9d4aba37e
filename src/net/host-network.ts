// The host's share, once for each server: a reserved /16, one nft table, the resolver, and IP forwarding while egress is on.
import { readFileSync, writeFileSync } from 'node:fs';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { chooseRange, resolverAddress, slotAt } from './addresses.ts';
import { hostRules, instancesOnHost, withoutHostRules } from './host-rules.ts';
import { type SlotLimits, slotLimits, tableTooSmall } from './limits.ts';
import { askJson, ipBatch, missingRight, nftLoad } from './network-tools.ts';
import { checkAllowedRanges, type Egress, type Reach } from './reach.ts';
import { NameServers } from './resolver/name-servers.ts';
import { openResolver, type Resolver } from './resolver/resolver.ts';

const forwardingFile = '/proc/sys/net/ipv4/ip_forward';
const tableSizeFile = '/proc/sys/net/netfilter/nf_conntrack_max';

interface Route {
  dst?: string;
  type?: string;
  metric?: number;
}

/** The metric marks the route that reserves a range as that of one instance. */
const reservationMetric = (instance: string): number => 0x1000000 + Number.parseInt(instance, 16);

export interface HostOrder {
  instance: string;
  egress: Egress;
  udp: boolean;
  allowedRanges: readonly string[];
  /** Wished /16 for the links. */
  range?: string | undefined;
  /** The host's list of name servers. */
  resolvConf: string;
  /** Slots that exist at once. */
  slots: number;
  clock: Clock;
  log: Log;
}

export interface HostShare {
  /** The /16 of the slots' links. */
  range: string;
  reach: Reach;
  limits: SlotLimits;
  /** Absent without egress. */
  resolver: Resolver | undefined;
}

/** Sets the host up. Expects what an earlier run left to be swept. Throws `invalid_input` for ranges that cannot be allowed. */
export async function openHost(order: HostOrder): Promise<HostShare> {
  const { instance, egress, udp, slots } = order;
  const allowedRanges = checkAllowedRanges(order.allowedRanges);
  const [routes, instances] = await Promise.all([listRoutes(), instancesOnHost()]);
  const destinations = routes.flatMap(({ dst }) => (dst ? [dst] : []));
  const range = chooseRange([...destinations, ...allowedRanges], order.range);
  // Two servers on one host: the last to go turns forwarding off again, so the mark is handed on.
  const forwardingWasOff = egress === 'internet' && (!forwarding() || instances.forwardingWasOff.length > 0);
  // Reserves the range, and keeps packets to slots that are gone from leaving by the default route.
  await ipBatch([`route add unreachable ${range} metric ${reservationMetric(instance)}`]);
  const resolver = egress === 'internet' ? await startResolver(order, range) : undefined;
  try {
    const reach = { egress, udp, allowedRanges, resolver: resolver?.place };
    await nftLoad(hostRules({ instance, range, reach, serverUid: process.getuid?.() ?? 0, forwardingWasOff }));
    if (egress === 'internet') setForwarding(true);
    const tableSize = connectionTableSize();
    if (tableTooSmall(tableSize, slots)) order.log.warn('connection_table_small', { tableSize, slots, tableSizeFile });
    return { range, reach, limits: slotLimits(tableSize, slots), resolver };
  } catch (error) {
    await resolver?.[Symbol.asyncDispose]();
    throw error;
  }
}

async function startResolver({ resolvConf, clock, log }: HostOrder, range: string): Promise<Resolver> {
  const address = resolverAddress(range);
  await ipBatch([`addr add ${address}/32 dev lo`]);
  const nameServers = new NameServers(resolvConf, clock);
  return openResolver({ address, slotOf: (peer) => slotAt(range, peer), nameServers, clock, log });
}

/** Takes the host's share back, or what there is of it. */
export async function closeHost(instance: string): Promise<void> {
  const [routes, instances] = await Promise.all([listRoutes(), instancesOnHost()]);
  const reserved = routes.filter(
    ({ type, metric }) => type === 'unreachable' && metric === reservationMetric(instance),
  );
  const lines = reserved.flatMap(({ dst, metric }) => [
    ...(dst ? [`addr del ${resolverAddress(dst)}/32 dev lo`] : []),
    `route del unreachable ${dst} metric ${metric}`,
  ]);
  if (lines.length > 0) await ipBatch(lines, { keepGoing: true });
  const others = instances.forwardingWasOff.filter((other) => other !== instance);
  if (instances.forwardingWasOff.includes(instance) && others.length === 0) setForwarding(false);
  if (instances.all.includes(instance)) await nftLoad(withoutHostRules(instance));
}

async function listRoutes(): Promise<Route[]> {
  return (await askJson('ip', ['-4', 'route', 'show', 'table', 'all'])) as Route[];
}

/** Entries that the host's table of connections holds; there once rules that look at connections are loaded. */
function connectionTableSize(): number {
  return Number(readFileSync(tableSizeFile, 'utf8'));
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
