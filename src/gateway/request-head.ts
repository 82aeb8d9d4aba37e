// The headers of a request, read in one pass: what is the platform's, and what passes on to the application. Reference f.4; hop-by-hop: RFC 9110, 7.6.1.

export interface RequestHead {
  /** `Host`, or `:authority`, as it came; undefined when there is none, or none that is clear. */
  host: string | undefined;
  /** Platform headers. */
  token: string | undefined;
  port: string | undefined;
  forceHttp2: boolean;
  /** For the application: flat, names as they came, without host and request id. */
  forward: string[];
  /** `Sec-WebSocket-Protocol`, all of its fields joined; part of `forward` only where it was not asked to be kept out. */
  subprotocols: string | undefined;
  expectsContinue: boolean;
  /** An `Expect` that nobody can meet. */
  expectsOther: boolean;
  /** The client takes trailers. */
  takesTrailers: boolean;
  /** Length of all names and values. */
  size: number;
}

type Rule = 'drop' | 'host' | 'token' | 'port' | 'force' | 'expect' | 'te' | 'connection' | 'cookie' | 'subprotocol';

const rules = new Map<string, Rule>([
  ['host', 'host'],
  [':authority', 'host'],
  ['x-aws-proxy-auth', 'token'],
  ['x-aws-proxy-port', 'port'],
  ['x-aws-proxy-force-h2', 'force'],
  ['expect', 'expect'],
  ['te', 'te'],
  ['connection', 'connection'],
  ['cookie', 'cookie'],
  ['sec-websocket-protocol', 'subprotocol'],
  ['keep-alive', 'drop'],
  ['proxy-connection', 'drop'],
  ['proxy-authenticate', 'drop'],
  ['proxy-authorization', 'drop'],
  ['transfer-encoding', 'drop'],
  ['trailer', 'drop'],
  ['upgrade', 'drop'],
  ['http2-settings', 'drop'],
  // An id of ours is added, so that nobody chooses it.
  ['x-amzn-requestid', 'drop'],
  [':method', 'drop'],
  [':path', 'drop'],
  [':scheme', 'drop'],
  [':protocol', 'drop'],
]);
const platformPrefix = 'x-aws-proxy-';

/** Reads flat headers, of HTTP/1.1 or HTTP/2. `upgrades`: of a WebSocket handshake, whose subprotocols are kept out. */
export function readHead(raw: readonly string[], upgrades: boolean): RequestHead {
  const head: RequestHead = {
    host: undefined,
    token: undefined,
    port: undefined,
    forceHttp2: false,
    forward: [],
    subprotocols: undefined,
    expectsContinue: false,
    expectsOther: false,
    takesTrailers: false,
    size: 0,
  };
  const { forward } = head;
  let [hosts, cookie, connection] = [0, '', ''];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    const lower = name.toLowerCase();
    head.size += name.length + value.length;
    switch (rules.get(lower)) {
      case undefined:
        if (!lower.startsWith(platformPrefix)) forward.push(name, value);
        break;
      case 'host':
        // HTTP/2 may have both, but then they say the same (RFC 9113, 8.3.1).
        if (hosts++ === 0) head.host = value;
        else if (raw[0]?.[0] !== ':' || head.host !== value || hosts > 2) head.host = '';
        break;
      case 'token':
        head.token = joined(head.token, value);
        break;
      case 'port':
        head.port = joined(head.port, value);
        break;
      case 'force':
        head.forceHttp2 = value.toLowerCase() === 'true';
        break;
      case 'expect':
        if (value.toLowerCase() === '100-continue') head.expectsContinue = true;
        else head.expectsOther = true;
        break;
      case 'te':
        head.takesTrailers ||= /(^|,)\s*trailers\s*(;|,|$)/i.test(value);
        break;
      case 'connection':
        connection = connection === '' ? value : `${connection},${value}`;
        break;
      case 'cookie':
        // HTTP/2 sends it in pieces (RFC 9113, 8.2.3).
        cookie = cookie === '' ? value : `${cookie}; ${value}`;
        break;
      case 'subprotocol':
        head.subprotocols = joined(head.subprotocols, value);
        if (!upgrades) forward.push(name, value);
        break;
      case 'drop':
        break;
    }
  }
  if (cookie !== '') forward.push('cookie', cookie);
  if (connection !== '') head.forward = withoutListed(forward, connection);
  return head;
}

const joined = (before: string | undefined, value: string): string =>
  before === undefined ? value : `${before}, ${value}`;

/** `forward` without the headers that `Connection` lists: they concern this hop only. Framing and length stay: they are ours to decide on. */
export function withoutListed(forward: string[], connection: string): string[] {
  const lower = connection.toLowerCase();
  if (lower === 'keep-alive' || lower === 'close' || lower === 'upgrade') return forward;
  const listed = new Set(lower.split(',').map((name) => name.trim()));
  listed.delete('content-length');
  return forward.filter((_, i) => !listed.has((forward[i - (i % 2)] ?? '').toLowerCase()));
}
