// What one guest may put on the network. Each number keeps one flood from costing the host, or the next guest, more than its share.

export interface SlotLimits {
  /** Connections open outside at once. */
  openConnections: number;
  newConnectionsPerSecond: number;
  newConnectionsBurst: number;
}

/**
 * Frames from a guest. A fast transfer sends large ones (segments of up to 64 KiB leave a guest in one piece), so even 10 Gbit/s stay
 * below; what costs a host is millions of small ones.
 */
export const framesPerSecond = 30_000;
export const framesBurst = 15_000;

/** ARP: the gateway's address never changes, so a guest asks once a minute. */
export const arpPerSecond = 10;

/** Questions to the resolver, one guest's and all guests'. The first are dropped in the slot, before they reach our process. */
export const questionsPerSecond = 100;
export const questionsBurst = 200;
export const allQuestionsPerSecond = 5000;

/**
 * How long the host remembers a connection of a guest, in seconds. Its own times (five days for an idle connection, two minutes for one
 * that has ended) let a guest, or one guest after another, fill the table of connections that all share. 350 s of silence is also what
 * AWS's NAT gateway allows; a connection that speaks later is taken up again.
 */
export const tcpTimeouts = {
  syn_sent: 20,
  syn_recv: 20,
  established: 350,
  fin_wait: 20,
  close_wait: 20,
  last_ack: 20,
  time_wait: 5,
  close: 5,
  unack: 60,
} as const;
export const udpTimeouts = { unreplied: 15, replied: 60 } as const;

const most = 4096;
const fewest = 128;

/**
 * Shares out the host's table of connections (`net.netfilter.nf_conntrack_max` entries): all slots together, each at its limits, take two
 * thirds at most. Entries of one slot: those that are open, and those that ended in the last five seconds (a burst and what may follow it).
 */
export function slotLimits(tableSize: number, slots: number): SlotLimits {
  const openConnections = Math.max(fewest, Math.min(most, Math.floor(tableSize / 3 / slots)));
  return {
    openConnections,
    newConnectionsPerSecond: Math.floor(openConnections / 10),
    newConnectionsBurst: Math.floor(openConnections / 2),
  };
}

/** Whether the table is too small for that promise: many guests together could fill it. */
export function tableTooSmall(tableSize: number, slots: number): boolean {
  return tableSize / 3 / slots < fewest;
}
