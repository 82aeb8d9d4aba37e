// What the container engine says about a finished image, as the plan by which the guest starts its application.
// https://github.com/moby/docker-image-spec/blob/main/spec.md
import { z } from 'zod';
import { Fault } from '../lib/errors.ts';
import type { AppPlan } from '../vmm/driver.ts';

/** The application and what else the image's configuration tells. OS capabilities are not the image's to choose. */
export interface ImagePlan extends Omit<AppPlan, 'allCapabilities'> {
  /** TCP ports, in order. */
  exposedPorts: number[];
  /** Name or number, as written; empty when the Dockerfile sets none. */
  stopSignal: string;
  labels: Record<string, string>;
}

const words = z.array(z.string()).nullish();
const inspected = z.object({
  Docker: z.object({
    config: z.object({
      Entrypoint: words,
      Cmd: words,
      Env: words,
      WorkingDir: z.string().nullish(),
      User: z.string().nullish(),
      ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
      StopSignal: z.string().nullish(),
      Labels: z.record(z.string(), z.string()).nullish(),
    }),
  }),
});

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const fail = (what: string, cause?: unknown): Fault =>
  new Fault('build_failed', { reason: 'CONTAINER_BUILD_FAILED', what }, cause);

/** From the output of `buildah inspect --type image`. Throws `build_failed` when it is malformed or nothing is to be started. */
export function imagePlan(inspectJson: string): ImagePlan {
  const { Docker } = parse(inspectJson);
  const config = Docker.config;
  // Docker's rule: the entry point with the command as its arguments; the shell forms arrive as ["/bin/sh","-c",…].
  const argv = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  if (argv.length === 0 || argv[0] === '')
    throw fail(
      'The image has neither CMD nor ENTRYPOINT, so there is nothing to start. Add for example: CMD ["python3", "app.py"]',
    );
  return {
    argv,
    environment: { PATH: defaultPath, ...environment(config.Env ?? []) },
    workingDirectory: config.WorkingDir || '/',
    user: config.User ?? '',
    exposedPorts: Object.keys(config.ExposedPorts ?? {})
      .flatMap(tcpPort)
      .sort((a, b) => a - b),
    stopSignal: config.StopSignal ?? '',
    labels: config.Labels ?? {},
  };
}

function parse(inspectJson: string): z.infer<typeof inspected> {
  try {
    return inspected.parse(JSON.parse(inspectJson));
  } catch (cause) {
    throw fail('The configuration of the built image cannot be read.', cause);
  }
}

function environment(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

function tcpPort(exposed: string): number[] {
  const [, port, protocol = 'tcp'] = /^(\d{1,5})(?:\/(\w+))?$/.exec(exposed) ?? [];
  return port !== undefined && protocol === 'tcp' && Number(port) >= 1 && Number(port) <= 65535 ? [Number(port)] : [];
}
