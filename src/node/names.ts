// What a host calls the things that it makes. Whatever else lies in its directories is somebody else's: it is not removed without being named.
import { randomUUID } from 'node:crypto';

/** What the id of a MicroVM or of an image may look like. */
export const isId = (name: string): boolean => /^[\w-]{1,256}$/.test(name);

export const isBuildId = (name: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name);

/** The name under which a directory goes. */
export const removedName = (path: string): string => `${path}.${randomUUID().slice(0, 8)}.removed`;

/** A start removes what has such a name. */
export const isRemoved = (name: string): boolean => /^.+\.[0-9a-f]{8}\.removed$/.test(name);

/** A build's working directory, and its image before it is whole. */
export const isBuildWork = (name: string): boolean =>
  /\.(new|work)$/.test(name) && isBuildId(name.replace(/\..*$/, ''));

/** In the directory of a MicroVM, something that was being written. */
export const isUnfinished = (name: string): boolean =>
  /^\.sleep-\d{1,9}\.new$/.test(name) || /\.[0-9a-f]{8}\.new$/.test(name);
