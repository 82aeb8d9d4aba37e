// Makes and removes one slot: namespace, link to the host, tap, rules. Made whole or not at all.
import { existsSync, lstatSync } from 'node:fs';
import { type SlotLink, slotLink } from './addresses.ts';
import type { SlotLimits } from './limits.ts';
import { ipBatch, nftLoad, switchOn } from './network-tools.ts';
import type { Reach } from './reach.ts';
import { guestNetwork } from './slot.ts';
import { slotRules, tap, uplink } from './slot-rules.ts';

export interface SlotPlan {
  instance: string;
  index: number;
  range: string;
  reach: Reach;
  limits: SlotLimits;
  /** User that may open the tap. */
  tapOwnerUid: number;
}

export interface SlotNames {
  namespace: string;
  /** Host side of the link; at most 15 characters, the kernel's limit. */
  hostLink: string;
}

export function slotNames(instance: string, index: number | string): SlotNames {
  return { namespace: `wb-${instance}-${index}`, hostLink: `wb${instance}-${index}` };
}

/** Makes the slot and returns its link's addresses. Removes what it made when it fails. */
export async function makeSlot(plan: SlotPlan): Promise<SlotLink> {
  const names = slotNames(plan.instance, plan.index);
  const link = slotLink(plan.range, plan.index);
  try {
    await ipBatch(hostCommands(names, link));
    const steps = await Promise.allSettled([
      ipBatch(namespaceCommands(plan, link), { namespace: names.namespace }).then(() =>
        nftLoad(slotRules(link, plan.reach, plan.limits), names.namespace),
      ),
      switchOn(names.namespace, settings()),
    ]);
    const failed = steps.find((step) => step.status === 'rejected');
    if (failed) throw failed.reason;
    return link;
  } catch (error) {
    await removeSlots([names]).catch(() => {});
    throw error;
  }
}

/** When what stands of a slot was made; 0 when nothing does. */
export function madeMs({ namespace, hostLink }: SlotNames): number {
  // The kernel makes up the times of links anew now and then, so the namespace comes first.
  const paths = [`/run/netns/${namespace}`, `/sys/class/net/${hostLink}`];
  const times = paths.map((path) => lstatSync(path, { throwIfNoEntry: false })?.ctimeMs);
  return times.find((time) => time !== undefined) ?? 0;
}

/** Removes slots, or what there is of them. */
export async function removeSlots(slots: readonly SlotNames[]): Promise<void> {
  if (slots.length === 0) return;
  const lines = slots.flatMap(({ namespace, hostLink }) => [`link del ${hostLink}`, `netns del ${namespace}`]);
  await ipBatch(lines, { keepGoing: true });
}

function hostCommands({ namespace, hostLink }: SlotNames, link: SlotLink): string[] {
  return [
    `netns add ${namespace}`,
    `link add ${hostLink} type veth peer name ${uplink} netns ${namespace}`,
    ...(hasIpv6() ? [`link set ${hostLink} addrgenmode none`] : []),
    `addr add ${link.hostAddress}/31 dev ${hostLink}`,
    `link set ${hostLink} up`,
  ];
}

function namespaceCommands(plan: SlotPlan, link: SlotLink): string[] {
  const { gatewayMac, gatewayAddress, prefixLength, guestAddress, guestMac } = guestNetwork;
  return [
    `tuntap add dev ${tap} mode tap user ${plan.tapOwnerUid} vnet_hdr`,
    `link set ${tap} address ${gatewayMac} up`,
    `addr add ${gatewayAddress}/${prefixLength} dev ${tap}`,
    `neigh replace ${guestAddress} lladdr ${guestMac} dev ${tap} nud permanent`,
    `addr add ${link.slotAddress}/31 dev ${uplink}`,
    `link set ${uplink} up`,
    ...(plan.reach.egress === 'internet' ? [`route add default via ${link.hostAddress}`] : []),
  ];
}

// IPv6 is not served, so it is off. The kernel answers refusals once a second only, and for all namespaces together, unless their kind is
// left out of the mask of what it holds back.
function settings(): string[] {
  const v6 = ['net/ipv6/conf/all/disable_ipv6', 'net/ipv6/conf/default/disable_ipv6'];
  return ['net/ipv4/ip_forward', 'net/ipv4/conf/all/rp_filter', 'net/ipv4/icmp_ratemask', ...(hasIpv6() ? v6 : [])];
}

function hasIpv6(): boolean {
  return existsSync('/proc/sys/net/ipv6');
}
