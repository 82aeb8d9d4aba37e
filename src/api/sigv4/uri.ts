// Percent-encoding as Signature Version 4 wants it: every byte but the unreserved ones, upper-case hex.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
import { refuse } from './refusal.ts';

const isUnreserved = /^[A-Za-z0-9\-._~]$/;
const encoded = Array.from({ length: 256 }, (_, byte) => {
  const char = String.fromCharCode(byte);
  return isUnreserved.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
});

const plainPath = /^[A-Za-z0-9\-._~/]*$/;

/** Encodes every byte that is not unreserved; a slash stays when `keepSlash`. */
export function encodeUri(bytes: Uint8Array | string, keepSlash = false): string {
  if (keepSlash && typeof bytes === 'string' && plainPath.test(bytes)) return bytes;
  const source = typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes;
  let out = '';
  for (const byte of source) out += keepSlash && byte === 0x2f ? '/' : encoded[byte];
  return out;
}

/** Undoes percent-encoding, to bytes (they need not be UTF-8). Refuses a `%` that no two hex digits follow. */
export function decodeUri(text: string): Buffer {
  if (/%(?![0-9a-fA-F]{2})/.test(text)) throw refuse('signature', 'The request URI has a malformed percent-encoding.');
  const parts: Buffer[] = [];
  let rest = 0;
  for (const match of text.matchAll(/(?:%[0-9a-fA-F]{2})+/g)) {
    parts.push(Buffer.from(text.slice(rest, match.index), 'utf8'));
    parts.push(Buffer.from(match[0].replaceAll('%', ''), 'hex'));
    rest = match.index + match[0].length;
  }
  parts.push(Buffer.from(text.slice(rest), 'utf8'));
  return Buffer.concat(parts);
}
