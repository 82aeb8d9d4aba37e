// What can be set on the gateway, with the values that suit profile `open`.

/** `host`: one listener, one host name per MicroVM. `port`: one loopback port per MicroVM. */
export type EndpointMode = 'host' | 'port';

export interface GatewaySettings {
  endpointMode: EndpointMode;
  /** Adds `x-waterbear-reason` to answers of the gateway's own; AWS has no such header. */
  explain: boolean;
  /** How long a request is held while its MicroVM wakes. */
  wakeTimeoutMs: number;
  /** How long refused connections are tried again after a launch or resume. */
  settleMs: number;
  /** How long a port is given to show whether it speaks TLS. */
  probeMs: number;
  /** How long one connection to an application may take. */
  connectTimeoutMs: number;
  /** From the first byte of a connection to the end of the request's headers. */
  headersTimeoutMs: number;
  /** How long a client's connection may stay unused between requests. */
  keepAliveMs: number;
  /** How long a request or WebSocket is held on which no byte moves, in neither direction. */
  stallMs: number;
  maxConnections: number;
  /** Requests at once on one HTTP/2 connection of a client. */
  maxStreams: number;
  /** How long a connection to an application is kept for the next request. Short: a MicroVM that falls asleep has to break those that are open. */
  upstreamIdleMs: number;
  /** Connections to one port of one MicroVM. */
  upstreamMaxConnections: number;
  /** How long the rest of a request body is still read after the answer, so that the client gets to see the answer. */
  lingerMs: number;
}

export const gatewayDefaults: GatewaySettings = {
  endpointMode: 'host',
  explain: true,
  wakeTimeoutMs: 60_000,
  settleMs: 1_000,
  probeMs: 2_000,
  connectTimeoutMs: 10_000,
  headersTimeoutMs: 10_000,
  keepAliveMs: 60_000,
  stallMs: 3_600_000,
  maxConnections: 10_000,
  maxStreams: 100,
  upstreamIdleMs: 1_000,
  upstreamMaxConnections: 1_024,
  lingerMs: 5_000,
};
