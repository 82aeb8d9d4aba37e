// Names of container images: completed as Docker completes them, so that the engine never has to guess what is meant.
import { Fault } from '../lib/errors.ts';

/** Words that buildah would take as "read the image from there": files of this host, other engines. */
const transports = new Set([
  'atomic',
  'containers-storage',
  'dir',
  'docker',
  'docker-archive',
  'docker-daemon',
  'oci',
  'oci-archive',
  'ostree',
  'sif',
  'tarball',
]);

const shape =
  /^(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::\d{1,5})?\/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::\w[\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$/;

/** `python:3` → `docker.io/library/python:3`. Throws `build_failed` for anything that is not an image name. `where` names the line. */
export function fullImageName(name: string, where: string): string {
  const refuse = (why: string): Fault =>
    new Fault('build_failed', {
      reason: 'CONTAINER_BUILD_FAILED',
      what: `${where}: ${JSON.stringify(name.slice(0, 200))} ${why}.`,
    });
  const scheme = name.split(':', 1)[0] ?? '';
  if (transports.has(scheme) && name.includes('/'))
    throw refuse('names a place on the host; only names of images in a registry or local ones are allowed');
  if (name.length > 512 || !shape.test(name)) throw refuse('is not the name of an image');
  const first = name.includes('/') ? (name.split('/', 1)[0] ?? '') : '';
  if (first === '') return `docker.io/library/${name}`;
  return first === 'localhost' || /[.:]/.test(first) ? name : `docker.io/${name}`;
}
