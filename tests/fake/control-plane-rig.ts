// A control plane on a stub host, with the real AWS client in front of it.
import { LambdaMicrovmsClient } from '@aws-sdk/client-lambda-microvms';
import { sigv4Authenticate } from '../../src/api/authenticate.ts';
import { type ControlPlane, createControlPlane } from '../../src/api/server.ts';
import { caller, type TestApp, testApp } from '../../src/app/testing/test-app.ts';
import type { Limits } from '../../src/contract/limits.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { type Log, silentLog } from '../../src/lib/log.ts';

export const credentials = { accessKeyId: 'AKIAWATERBEAR', secretAccessKey: 'secret' };

export interface ControlPlaneRig extends AsyncDisposable {
  readonly t: TestApp;
  readonly controlPlane: ControlPlane;
  readonly port: number;
  readonly url: string;
  readonly client: LambdaMicrovmsClient;
  /** A client that signs with another secret. */
  readonly stranger: LambdaMicrovmsClient;
  /** Urls that reached the S3 handler. */
  readonly s3Requests: string[];
}

export async function controlPlaneRig(
  limits: Partial<Limits> = {},
  requestMs = 10_000,
  log: Log = silentLog,
): Promise<ControlPlaneRig> {
  const t = await testApp(limits);
  const s3Requests: string[] = [];
  const secret = credentials.secretAccessKey;
  const keys = (id: string) => (id === credentials.accessKeyId ? { secret, account: caller.account } : undefined);
  const controlPlane = createControlPlane({
    app: t.app,
    authenticate: sigv4Authenticate(keys, { clock: systemClock, regions: ['us-east-1'] }),
    async s3(request, response) {
      s3Requests.push(`${request.method} ${request.url}`);
      response.end('<ok/>');
    },
    log,
    requestMs,
  });
  const port = await controlPlane.listen('127.0.0.1', 0);
  const url = `http://127.0.0.1:${port}`;
  const shared = { endpoint: url, region: 'us-east-1', maxAttempts: 1 };
  const client = new LambdaMicrovmsClient({ ...shared, credentials });
  const stranger = new LambdaMicrovmsClient({ ...shared, credentials: { ...credentials, secretAccessKey: 'guess' } });
  return {
    t,
    controlPlane,
    port,
    url,
    client,
    stranger,
    s3Requests,
    async [Symbol.asyncDispose]() {
      client.destroy();
      stranger.destroy();
      await controlPlane.close();
      await t[Symbol.asyncDispose]();
    },
  };
}
