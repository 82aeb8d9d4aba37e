// Choices that show at a MicroVM's endpoint: on a whole server with the fake driver, over HTTPS.
import { startTestServer, type TestServer } from '../../../support/server.ts';
import { zipOf } from '../../../support/zip.ts';
import type { Choice } from './choice.ts';

/** A server and an image whose `/run` takes a while. */
export interface WithImage {
  server: TestServer;
  imageArn: string;
}

const runMs = 300;

export async function withImage<T>(work: (subject: WithImage) => Promise<T>): Promise<T> {
  const server = await startTestServer({ driver: 'fake' });
  try {
    const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);
    const hooks = {
      port: 8080,
      microvmImageHooks: { ready: 'ENABLED' },
      microvmHooks: { run: 'ENABLED', runTimeoutInSeconds: 60 },
    } as const;
    const { imageArn } = await server.build('choices', zip, {
      hooks,
      environmentVariables: { FAKE_RUN_MS: String(runMs) },
    });
    return await work({ server, imageArn });
  } finally {
    await server.close();
  }
}

const statusOf = async (call: Promise<{ status: number; body: string }>): Promise<string> => {
  const { status, body } = await call;
  return `${status} ${body.trim()}`.trim();
};

export const endpointChoices: readonly Choice<WithImage>[] = [
  {
    row: 19,
    topic: 'Traffic before `/run` has answered: never, or seen',
    choice: 'never: a request is held until then (profile `open`)',
    async check({ server, imageArn }) {
      const { id, endpoint, token } = await server.run(imageArn);
      const { status } = await server.get(endpoint, token);
      const { state, stateReason } = await server.lambda.getMicrovm({ microvmIdentifier: id });
      return status === 200 && state === 'RUNNING' && stateReason === undefined;
    },
  },
  {
    row: 20,
    topic: 'A missing or wrong token: 401 or 403',
    choice: '403',
    async check({ server, imageArn }) {
      const { endpoint } = await server.run(imageArn);
      const wrong = { 'X-aws-proxy-auth': 'guess' };
      const answers = await Promise.all([{}, wrong].map((token) => statusOf(server.get(endpoint, token))));
      return answers.every((answer) => answer === '403 Request missing authentication');
    },
  },
  {
    row: 23,
    topic: 'A request without a port: 8080, or it hangs',
    choice: '8080',
    async check({ server, imageArn }) {
      const { id, endpoint, token } = await server.run(imageArn);
      const other = await server.token(id, 9999);
      const answers = [await statusOf(server.get(endpoint, token)), await statusOf(server.get(endpoint, other))];
      return answers.join(', ') === '200 1, 403 Access to port denied';
    },
  },
  {
    row: 29,
    topic: 'End of the main process: TERMINATED at once, or after 15 s',
    choice: 'at once',
    async check({ server, imageArn }) {
      const { id, endpoint, token } = await server.run(imageArn);
      const { status } = await server.get(endpoint, token, '/exit?code=7');
      const { stateReason } = await server.until(id, 'TERMINATED');
      return status === 502 && stateReason === 'Container Stopped with Exit Code: 7';
    },
  },
  {
    row: 43,
    topic: 'A request to a SUSPENDED MicroVM that does not resume by itself: 403 or 502',
    choice: '502 with an empty body',
    async check({ server, imageArn }) {
      const { id, endpoint, token } = await server.run(imageArn);
      await server.until(id, 'RUNNING');
      await server.lambda.suspendMicrovm({ microvmIdentifier: id });
      await server.until(id, 'SUSPENDED');
      return (await statusOf(server.get(endpoint, token))) === '502';
    },
  },
];
