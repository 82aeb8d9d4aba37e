// Names below `localhost` are this machine (RFC 6761), also where the system's resolver does not know it.
import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';

type LookupCallback = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

/** The system's resolver; for `*.localhost`, where it knows nothing of RFC 6761, the loopback address. */
export function lookupWithLocalhost(hostname: string, options: LookupOptions, callback: LookupCallback): void {
  lookup(hostname, options, (error, address, family) => {
    if (error === null || !hostname.endsWith('.localhost')) return callback(error, address, family);
    const loopback = { address: '127.0.0.1', family: 4 };
    if (options.all) callback(null, [loopback]);
    else callback(null, loopback.address, loopback.family);
  });
}
