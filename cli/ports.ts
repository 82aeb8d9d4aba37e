// Which TCP ports can be had on this machine. A port found free may be gone a moment later: whoever binds it still gets to say so.
import { createServer } from 'node:net';
import { Fault } from '../src/lib/errors.ts';

export const httpsPort = 443;
export const fallbackGatewayPort = 8443;

/** Undefined when the port can be bound, else Node's error code (`EADDRINUSE`, `EACCES` …). */
export async function whyNotBindable(host: string, port: number): Promise<string | undefined> {
  try {
    await bindOnce(host, port);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}

export interface PortChoice {
  port: number;
  /** Why it is not the usual one. */
  note?: string;
}

/** 443 makes endpoints bare host names, as AWS clients expect; where it cannot be had, 8443 and the port is part of the endpoint. */
export async function chooseGatewayPort(
  host: string,
  asked: number | undefined,
  probe: typeof whyNotBindable = whyNotBindable,
): Promise<PortChoice> {
  if (asked !== undefined) return { port: asked };
  const why = await probe(host, httpsPort);
  if (why === undefined) return { port: httpsPort };
  if (why !== 'EADDRINUSE' && why !== 'EACCES') throw notBindable(host, httpsPort, why);
  const fallback = await probe(host, fallbackGatewayPort);
  if (fallback !== undefined) throw notBindable(host, fallbackGatewayPort, fallback, '--gateway-port');
  const reason = why === 'EACCES' ? 'needs more rights' : 'is taken';
  return {
    port: fallbackGatewayPort,
    note: `Port ${httpsPort} ${reason}, so ${fallbackGatewayPort} is used and the endpoints of MicroVMs carry it.`,
  };
}

/** The error for a port that cannot be bound; `flag` names the option that chooses another. */
export function notBindable(host: string, port: number, why: string, flag = '--host'): Fault {
  const reason =
    why === 'EADDRINUSE' ? 'it is taken by another process' : why === 'EACCES' ? 'this account may not' : why;
  const what = `Cannot listen on ${host} port ${port}: ${reason}. Choose another with ${flag}.`;
  return new Fault('conflict', { what, port, why });
}

function bindOnce(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}
