// The X.509 extension that confines our authority to its own names, so that trusting it endangers no other site. RFC 5280, 4.2.1.10.

/** What an authority may sign for. IP addresses other than loopback are never allowed. */
export interface PermittedNames {
  /** DNS suffixes; each covers the name itself and everything below it. */
  dns: readonly string[];
  /** 127.0.0.1 and ::1 as well. */
  loopback: boolean;
}

export const nameConstraintsOid = '2.5.29.30';

/** DER of NameConstraints. A kind of name that is not listed would be unconstrained, therefore IP addresses always are. */
export function encodeNameConstraints(names: PermittedNames): Buffer<ArrayBuffer> {
  const dns = names.dns.map((name) => subtree(der(0x82, Buffer.from(name, 'ascii'))));
  const everyAddress = [ip(Buffer.alloc(8)), ip(Buffer.alloc(32))];
  if (!names.loopback) return der(0x30, der(0xa0, ...dns), der(0xa1, ...everyAddress));
  const v4 = Buffer.from([127, 0, 0, 1, 255, 255, 255, 255]);
  const v6 = Buffer.concat([Buffer.alloc(15), Buffer.from([1]), Buffer.alloc(16, 255)]);
  return der(0x30, der(0xa0, ...dns, ip(v4), ip(v6)));
}

const ip = (addressAndMask: Buffer): Buffer => subtree(der(0x87, addressAndMask));

const subtree = (generalName: Buffer): Buffer => der(0x30, generalName);

function der(tag: number, ...parts: Buffer[]): Buffer<ArrayBuffer> {
  const body = Buffer.concat(parts);
  if (body.length > 65_535) throw new RangeError('DER value too long');
  if (body.length < 128) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length = body.length < 256 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}
