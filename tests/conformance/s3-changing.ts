// A client of the real SDK whose requests are changed on their way, for the conformance tests.
import type { S3Client } from '@aws-sdk/client-s3';
import type { S3Server } from './s3-server.ts';

export interface Change {
  method?: string;
  path?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: string;
}

/** A client whose requests are changed before (`build`) or after (`deserialize`) they are signed. */
export function changing(server: S3Server, change: Change, step: 'build' | 'deserialize'): S3Client {
  const client = server.client();
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers, ...rest } = change;
      const outgoing = args.request as { headers: Record<string, string>; body?: unknown };
      Object.assign(outgoing, rest);
      Object.assign(outgoing.headers, headers);
      if (change.body !== undefined) {
        delete outgoing.headers['transfer-encoding'];
        outgoing.headers['content-length'] = String(Buffer.byteLength(change.body));
      }
      return next(args);
    },
    { step: step as 'build', priority: step === 'build' ? 'low' : 'high' },
  );
  return client;
}
