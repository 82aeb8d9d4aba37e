// Hosts with VMs that tests have open. A test that is cut off by its time limit never comes to its own end, and VMs outlive the process.
export interface OpenHost {
  close(): Promise<void>;
}

const hosts = new Set<OpenHost>();

export const noteOpen = (host: OpenHost): void => void hosts.add(host);
export const noteClosed = (host: OpenHost): void => void hosts.delete(host);

/** Closes all of them. Rejects with what the first one that failed said, when all have been tried. */
export async function closeOpenHosts(): Promise<void> {
  const results = await Promise.allSettled([...hosts].map((host) => host.close()));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
