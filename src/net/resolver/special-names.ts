// Names that are answered here and asked nowhere: what they stand for is the asker's own machine, or the network that the host is in.

import { type Query, rcodes } from './query.ts';
import { ownAnswer } from './reply.ts';

const A = 1;
const AAAA = 28;
const ANY = 255;

/** `localhost` is whoever asks: RFC 6761. */
const loopback = new Map([
  [A, Buffer.from([127, 0, 0, 1])],
  [AAAA, Buffer.from('00000000000000000000000000000001', 'hex')],
]);

/** Never in the public DNS: RFC 6761, RFC 7686, and RFC 6762 for what a resolver of the host's would ask its neighbours. */
const nowhere = new Set(['invalid', 'onion', 'local']);

/** Names of private addresses, as zones of https://www.rfc-editor.org/rfc/rfc6303#section-4 and RFC 7793. */
const privateZones: readonly RegExp[] = [
  /\.(0|10|127|254\.169|168\.192|255\.255\.255\.255)\.in-addr\.arpa$/,
  /\.(1[6-9]|2\d|3[01])\.172\.in-addr\.arpa$/,
  /\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.100\.in-addr\.arpa$/,
  /\.([cd]\.f|[89ab]\.e\.f|0\.0\.0\.0\.0\.0\.0\.0\.0\.0\.0\.0\.0\.0\.0\.0\.0\.0\.0\.0)\.ip6\.arpa$/,
];

/** The answer to a question about such a name; undefined for all others. */
export function answerSpecialName(query: Query): Buffer | undefined {
  const { labels, type } = query;
  const last = labels.at(-1);
  if (last === undefined) return undefined;
  if (last === 'localhost') {
    const data = loopback.get(type);
    return ownAnswer(query, rcodes.noError, data ? [{ type, data }] : []);
  }
  // A resolver of the host's knows bare names: the host itself, its neighbours.
  const bare = labels.length === 1 && [A, AAAA, ANY].includes(type);
  const name = `.${labels.join('.')}`;
  if (!bare && !nowhere.has(last) && !privateZones.some((zone) => zone.test(name))) return undefined;
  return ownAnswer(query, rcodes.noSuchName);
}
