// Takes over a slot that an earlier server left in use: what it was made of must still stand, its rules become today's.
import { Fault, isFault } from '../lib/errors.ts';
import { type SlotLink, slotLink } from './addresses.ts';
import { type SlotPlan, slotNames } from './make-slot.ts';
import { askJson, ipBatch, nftLoad } from './network-tools.ts';
import { guestNetwork } from './slot.ts';
import { newSlotRules, tap, uplink } from './slot-rules.ts';

interface Device {
  ifindex: number;
  ifname: string;
  /** Of the other end of a link. */
  link_index?: number;
  flags?: string[];
  addr_info?: { local?: string; prefixlen?: number }[];
}

/** Returns the slot's addresses. Traffic meets the old rules until it meets the new ones. Rejects with `not_found` when a part is missing. */
export async function adoptSlot({ instance, index, range, reach, limits }: SlotPlan): Promise<SlotLink> {
  const { namespace, hostLink } = slotNames(instance, index);
  const link = slotLink(range, index);
  const missing = await missingPart(namespace, hostLink, link);
  if (missing) throw new Fault('not_found', { what: `Slot ${index} is not whole: ${missing} is missing.` });
  const isOut = reach.egress === 'internet';
  await nftLoad(newSlotRules(link, reach, limits), namespace);
  await ipBatch([isOut ? `route replace default via ${link.hostAddress}` : 'route flush exact default'], { namespace });
  return link;
}

async function missingPart(namespace: string, hostLink: string, link: SlotLink): Promise<string | undefined> {
  const { gatewayAddress, prefixLength } = guestNetwork;
  const [host, inside] = await Promise.all([devices(['dev', hostLink]), devices([], namespace)]);
  const outer = host.find(({ ifname }) => ifname === hostLink);
  const inner = inside.find(({ ifname }) => ifname === uplink);
  const door = inside.find(({ ifname }) => ifname === tap);
  if (!holds(outer, link.hostAddress, 31)) return `the link ${hostLink} with ${link.hostAddress}`;
  if (!holds(inner, link.slotAddress, 31) || inner?.link_index !== outer?.ifindex)
    return `the other end of ${hostLink}`;
  if (!holds(door, gatewayAddress, prefixLength)) return `the tap in ${namespace}`;
  return undefined;
}

/** None when there is no such namespace or link. */
async function devices(which: readonly string[], namespace?: string): Promise<Device[]> {
  const inside = namespace ? ['-n', namespace] : [];
  const answer = await askJson('ip', [...inside, '-4', 'addr', 'show', ...which]).catch((error: unknown) => {
    if (isFault(error, 'process_failed')) return [];
    throw error;
  });
  return answer as Device[];
}

function holds(device: Device | undefined, address: string, prefix: number): boolean {
  if (!device?.flags?.includes('UP')) return false;
  return device.addr_info?.some(({ local, prefixlen }) => local === address && prefixlen === prefix) ?? false;
}
