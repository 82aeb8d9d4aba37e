// Requests over HTTP/2, for tests: one session to the gateway, and whole answers.

import type { SecureClientSessionOptions } from 'node:http2';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from 'node:http2';
import type { Rig } from './gateway-rig.ts';
import { hostOf } from './pretended-plane.ts';

export interface Http2Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  rawHeaders: string[];
  trailers: Record<string, unknown>;
  body: string;
  rstCode: number | undefined;
}

/** A session to the endpoint of `microvmId`; whoever opens it destroys it. */
export function openSession(rig: Rig, microvmId: string, options: SecureClientSessionOptions = {}): ClientHttp2Session {
  const name = hostOf(microvmId);
  const session = connect(`https://${name}:${rig.port}`, {
    host: '127.0.0.1',
    servername: name,
    ca: rig.ca,
    ...options,
  });
  session.on('error', () => {});
  return session;
}

/** Everything that an answer has; rejects when the stream is reset before its end. */
export function answerOf(stream: ClientHttp2Stream): Promise<Http2Answer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let head: Pick<Http2Answer, 'status' | 'headers' | 'rawHeaders'> | undefined;
    let trailers: Record<string, unknown> = {};
    let ended = false;
    stream.on('response', (headers, _, raw) => {
      head = { status: headers[':status'] ?? 0, headers: headers as Http2Answer['headers'], rawHeaders: raw };
    });
    stream.on('trailers', (found) => {
      trailers = { ...found };
    });
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('end', () => {
      ended = true;
    });
    stream.on('error', reject);
    stream.on('close', () => {
      const { rstCode } = stream;
      if (head && ended && !rstCode) resolve({ ...head, trailers, body: Buffer.concat(parts).toString(), rstCode });
      else reject(new Error(`reset with ${rstCode}`));
    });
  });
}

/** One whole request with a good token. */
export async function askHttp2(
  rig: Rig,
  session: ClientHttp2Session,
  microvmId: string,
  headers: OutgoingHttpHeaders = {},
  body?: string | Buffer,
): Promise<Http2Answer> {
  const token = await rig.token(microvmId);
  const stream = session.request({ 'x-aws-proxy-auth': token, ...headers }, { endStream: body === undefined });
  const answer = answerOf(stream);
  if (body !== undefined) stream.end(body);
  return answer;
}
