// The host's share, once for each server: a reserved /16, one nft table, the resolver, and IP forwarding while egress is on.
import { readFileSync, writeFileSync } from 'node:fs';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { chooseRange, resolverAddress, slotAt } from './addresses.ts';
import { overlap, parseBlock } from './blocks.ts';
import { aloneOnHost } from './host-lock.ts';
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

/**
 * Sets the host up, or takes over what an earlier server left: guests that run on keep their range, and the table's old rules hold until the
 * new ones do. Throws `invalid_input` for ranges that cannot be allowed.
 */
export async function openHost(order: HostOrder): Promise<HostShare> {
  const { instance, egress, udp, slots } = order;
  const allowedRanges = checkAllowedRanges(order.allowedRanges);
  const { range, reserved } = await aloneOnHost(() => takeRange(order, allowedRanges));
  const instances = await instancesOnHost();
  // Two servers on one host: the last to go turns forwarding off again, so the mark is handed on.
  const forwardingWasOff = egress === 'internet' && (!forwarding() || instances.forwardingWasOff.length > 0);
  const resolver = egress === 'internet' ? await startResolver(order, range) : undefined;
  try {
    const reach = { egress, udp, allowedRanges, resolver: resolver?.place };
    await nftLoad(hostRules({ instance, range, reach, serverUid: process.getuid?.() ?? 0, forwardingWasOff }));
    if (egress === 'internet') setForwarding(true);
    else giveForwardingBack(instance, instances.forwardingWasOff);
    await dropRanges(
      instance,
      reserved.filter((dst) => dst !== range),
      egress === 'internet' ? undefined : range,
    );
    const tableSize = connectionTableSize();
    if (tableTooSmall(tableSize, slots)) order.log.warn('connection_table_small', { tableSize, slots, tableSizeFile });
    return { range, reach, limits: slotLimits(tableSize, slots), resolver };
  } catch (error) {
    await resolver?.[Symbol.asyncDispose]();
    throw error;
  }
}

/** The range that an earlier server had, or a free one. */
async function takeRange({ instance, range: wished }: HostOrder, allowedRanges: readonly string[]) {
  const routes = await listRoutes();
  const reserved = reservations(routes, instance);
  const kept = reserved.find((dst) => !allowedRanges.some((allowed) => overlap(parseBlock(allowed), parseBlock(dst))));
  if (kept) return { range: kept, reserved };
  const destinations = routes.flatMap(({ dst }) => (dst ? [dst] : []));
  const range = chooseRange([...destinations, ...allowedRanges], wished);
  // Reserves the range, and keeps packets to slots that are gone from leaving by the default route.
  await ipBatch([`route add unreachable ${range} metric ${reservationMetric(instance)}`]);
  return { range, reserved };
}

async function startResolver({ resolvConf, clock, log }: HostOrder, range: string): Promise<Resolver> {
  const address = resolverAddress(range);
  await ipBatch([`addr replace ${address}/32 dev lo`]);
  const nameServers = new NameServers(resolvConf, clock);
  return openResolver({ address, slotOf: (peer) => slotAt(range, peer), nameServers, clock, log });
}

/** Takes the host's share back, or what there is of it. */
export async function closeHost(instance: string): Promise<void> {
  const [routes, instances] = await Promise.all([listRoutes(), instancesOnHost()]);
  await dropRanges(instance, reservations(routes, instance));
  giveForwardingBack(instance, instances.forwardingWasOff);
  if (instances.all.includes(instance)) await nftLoad(withoutHostRules(instance));
}

/** The ranges that `instance` has reserved. */
function reservations(routes: readonly Route[], instance: string): string[] {
  const own = routes.filter(({ type, metric }) => type === 'unreachable' && metric === reservationMetric(instance));
  return own.flatMap(({ dst }) => (dst ? [dst] : []));
}

/** Gives ranges back; of `quiet` the resolver's address only. */
async function dropRanges(instance: string, ranges: readonly string[], quiet?: string): Promise<void> {
  const lines = [
    ...[...ranges, ...(quiet ? [quiet] : [])].map((range) => `addr del ${resolverAddress(range)}/32 dev lo`),
    ...ranges.map((range) => `route del unreachable ${range} metric ${reservationMetric(instance)}`),
  ];
  if (lines.length > 0) await ipBatch(lines, { keepGoing: true });
}

/** `marked` are the instances whose table says that forwarding was off before them: the last of them turns it off. */
function giveForwardingBack(instance: string, marked: readonly string[]): void {
  if (marked.includes(instance) && marked.every((other) => other === instance)) setForwarding(false);
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
