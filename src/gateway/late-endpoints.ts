// What the `endpoint` of a MicroVM is. Rows are shown with it, and the gateway that knows it needs the rows first: so it starts late.
import { describe } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Gateway } from './gateway.ts';
import { createOwnPorts, type OwnPorts } from './own-ports.ts';

export interface EndpointSettings {
  /** `host`: one host name per MicroVM. `port`: one loopback port each. */
  endpointMode: 'host' | 'port';
  /** Address that the shared listener listens on. */
  host: string;
  gatewayPort: number;
}

const httpsPort = 443;

export class LateEndpoints {
  readonly #log: Log;
  #own: OwnPorts | undefined;
  #port = httpsPort;

  constructor(log: Log) {
    this.#log = log;
  }

  open = async (microvmId: string): Promise<void> => this.#own?.open(microvmId);

  close(microvmId: string): void {
    this.#own?.close(microvmId).catch((error: unknown) => {
      this.#log.error('endpoint_not_closed', { microvmId, error: describe(error) });
    });
  }

  of(microvmId: string, host: string): string {
    return this.#own?.endpointOf(microvmId) ?? (this.#port === httpsPort ? host : `${host}:${this.#port}`);
  }

  /** Opens the gateway. Resolves with the port of the shared listener; 0 where each MicroVM has its own, which those of `microvmIds` get now. */
  async start(
    settings: EndpointSettings,
    gateway: Gateway,
    microvmIds: readonly string[],
    portsFile: string,
  ): Promise<number> {
    if (settings.endpointMode === 'host') {
      const { port } = await gateway.listen(settings.host, settings.gatewayPort);
      // Names below localhost resolve to both loopback addresses, and not every client tries the second one.
      if (settings.host === '127.0.0.1') await gateway.listen('::1', port).catch(() => undefined);
      this.#port = port;
      return port;
    }
    const own = await createOwnPorts(gateway, portsFile);
    this.#own = own;
    for (const microvmId of microvmIds) await own.open(microvmId);
    return 0;
  }
}
