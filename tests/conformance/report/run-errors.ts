// Errors that no operation names, provoked through the SDK or a bare request, and what the client got.
import { LambdaMicrovmsClient, ListMicrovmsCommand, RunMicrovmCommand } from '@aws-sdk/client-lambda-microvms';
import { demoArn } from '../../../src/app/testing/test-app.ts';
import { controlPlaneRig } from '../../fake/control-plane-rig.ts';

export interface ErrorResult {
  by: string;
  expected: string;
  got: string;
}

const list = new ListMicrovmsCommand({});
const credentials = { accessKeyId: 'AKIAWATERBEAR', secretAccessKey: 'secret' };

export async function runErrors(): Promise<ErrorResult[]> {
  await using rig = await controlPlaneRig();
  const client = (change: object) =>
    new LambdaMicrovmsClient({ endpoint: rig.url, region: 'us-east-1', credentials, maxAttempts: 1, ...change });
  const bare = async (path: string, headers: Record<string, string> = {}): Promise<string> => {
    const answer = await fetch(`${rig.url}${path}`, { headers });
    return `${answer.status} ${answer.headers.get('x-amzn-errortype')}`;
  };
  const sdk = (call: Promise<unknown>): Promise<string> =>
    call.then(
      () => 'no error',
      (error: Error & { $metadata?: { httpStatusCode?: number } }) =>
        `${error.$metadata?.httpStatusCode} ${error.name}`,
    );
  const run = (input: object) => sdk(rig.client.send(new RunMicrovmCommand({ imageIdentifier: demoArn, ...input })));
  const path = '/2025-09-09/microvms';
  const token = { ...credentials, sessionToken: 'unknown' };
  const results: [string, string, string][] = [
    ['no signature', '403 MissingAuthenticationTokenException', await bare(path)],
    [
      'an Authorization header without its parts',
      '400 IncompleteSignatureException',
      await bare(path, { authorization: 'AWS4-HMAC-SHA256 Credential=x' }),
    ],
    [
      'an unknown access key',
      '403 UnrecognizedClientException',
      await sdk(client({ credentials: { ...credentials, accessKeyId: 'AKIANOBODY' } }).send(list)),
    ],
    [
      'an unknown session token',
      '403 UnrecognizedClientException',
      await sdk(client({ credentials: token }).send(list)),
    ],
    ['a wrong secret', '403 InvalidSignatureException', await sdk(rig.stranger.send(list))],
    ['another region', '403 InvalidSignatureException', await sdk(client({ region: 'eu-west-1' }).send(list))],
    [
      'a clock 16 minutes off',
      '403 InvalidSignatureException',
      await sdk(client({ systemClockOffset: -16 * 60_000 }).send(list)),
    ],
    ['a member of another type', '400 SerializationException', await run({ maximumDurationInSeconds: '60' })],
    ['a body over 1 MiB', '413 RequestEntityTooLargeException', await run({ runHookPayload: 'x'.repeat(1 << 20) })],
    ['a path that no operation has', '404 UnknownOperationException', await bare('/2025-09-09/nothing')],
  ];
  return results.map(([by, expected, got]) => ({ by, expected, got }));
}
