import { expect, test } from 'vitest';
import { readAnswerHead } from './answer-head.ts';
import { readHead } from './request-head.ts';

const read = (...raw: string[]) => readHead(raw, false);

test('what passes on keeps its order and case; platform and hop-by-hop headers do not pass', () => {
  const head = read(
    ...['Host', 'a', 'X-One', '1', 'X-AWS-Proxy-Auth', 't', 'x-aws-proxy-port', '80', 'X-Aws-Proxy-Other', 'x'],
    ...['Connection', 'X-Listed, Content-Length', 'X-Listed', '1', 'Content-Length', '3', 'TE', 'gzip, trailers;q=1'],
    ...['Transfer-Encoding', 'chunked', 'Upgrade', 'h2c', 'X-Two', '2', 'X-AWS-Proxy-Force-H2', 'TRUE'],
  );
  expect(head).toMatchObject({ host: 'a', token: 't', port: '80', forceHttp2: true, takesTrailers: true });
  expect(head.forward).toEqual(['X-One', '1', 'Content-Length', '3', 'X-Two', '2']);
});

test('a host is what all that name one agree on, and HTTP/1.1 may name it once', () => {
  expect(read('Host', 'a').host).toBe('a');
  expect(read('X', '1').host).toBeUndefined();
  expect(read('Host', 'a', 'Host', 'a').host).toBe('');
  expect(read(':authority', 'a', 'host', 'a').host).toBe('a');
  expect(read(':method', 'GET', ':authority', 'a', 'host', 'b').host).toBe('');
  expect(read(':method', 'GET', ':authority', 'a', 'host', 'a', 'host', 'a').host).toBe('');
});

test('repeated platform headers are not chosen among', () => {
  expect(read('x-aws-proxy-auth', 'a', 'x-aws-proxy-auth', 'b').token).toBe('a, b');
  expect(read('x-aws-proxy-port', '1', 'x-aws-proxy-port', '2').port).toBe('1, 2');
});

test('cookies come together; subprotocols are kept out of handshakes only', () => {
  expect(read('cookie', 'a=1', 'X', '1', 'cookie', 'b=2').forward).toEqual(['X', '1', 'cookie', 'a=1; b=2']);
  const raw = ['Sec-WebSocket-Protocol', 'a', 'Sec-WebSocket-Protocol', 'b'];
  expect(readHead(raw, true)).toMatchObject({ subprotocols: 'a, b', forward: [] });
  expect(readHead(raw, false).forward).toEqual(raw);
});

test('expectations: one is known', () => {
  expect(read('Expect', '100-Continue')).toMatchObject({ expectsContinue: true, expectsOther: false });
  expect(read('Expect', 'x')).toMatchObject({ expectsContinue: false, expectsOther: true });
});

test('an answer passes without what concerns its connection, and with our request id', () => {
  const raw = [
    'Set-Cookie',
    'a',
    Buffer.from('Set-Cookie'),
    Buffer.from('b\xe9', 'latin1'),
    'Connection',
    'close, X-Own',
    'X-Own',
    '1',
  ];
  const head = readAnswerHead([...raw, 'Content-Length', '5', 'X-Amzn-RequestId', 'theirs'], 'ours', true);
  expect(head).toMatchObject({ length: 5, chunked: false });
  expect(head.forward).toEqual([
    'set-cookie',
    'a',
    'set-cookie',
    'bé',
    'content-length',
    '5',
    'x-amzn-requestid',
    'ours',
  ]);
  expect(readAnswerHead(['Transfer-Encoding', 'chunked'], 'ours', false)).toMatchObject({ length: -1, chunked: true });
});
