// What a zip's entries may be called and how they may lie inside each other. Pure: no file is touched here, so that every rule
// can be tested without an archive.
import { posix } from 'node:path';
import { Fault } from '../lib/errors.ts';
import { printable } from '../lib/printable.ts';

export type EntryKind = 'directory' | 'file' | 'symlink';

/** The fault for a zip that is not acceptable. `what` is a sentence. */
export function archiveFault(what: string, cause?: unknown): Fault {
  return new Fault('build_failed', { reason: 'ARCHIVE_INVALID', what }, cause);
}

/** A name for people: quoted, control characters visible, shortened. */
export function shown(name: string): string {
  return printable(JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}…` : name));
}

/** The entry's path below the root, without `./` and trailing slash. Throws `build_failed` for a name that leaves the root. */
export function entryPath(name: string): string {
  const refuse = (why: string): Fault => archiveFault(`The zip has an entry named ${shown(name)}, which ${why}.`);
  if (name.includes('\0')) throw refuse('contains a zero byte');
  if (name.includes('\\')) throw refuse('contains a backslash; names in a zip use forward slashes');
  if (name.startsWith('/') || /^[A-Za-z]:/.test(name)) throw refuse('is an absolute path');
  if (Buffer.byteLength(name) > 4096) throw refuse('is longer than 4096 bytes');
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refuse('contains `..`');
  if (parts.some((part) => Buffer.byteLength(part) > 255)) throw refuse('has a part longer than 255 bytes');
  return parts.join('/');
}

/** Throws `build_failed` unless a link at `path` to `target` stays below the root whatever else the zip holds. */
export function checkSymlink(path: string, target: string): void {
  const refuse = (why: string): Fault => archiveFault(`The symlink ${shown(path)} in the zip ${why}.`);
  if (target === '' || target.includes('\0') || target.includes('\\')) throw refuse('has a malformed target');
  if (target.startsWith('/')) throw refuse(`points to the absolute path ${shown(target)}`);
  const parts = target.split('/').filter((part) => part !== '' && part !== '.');
  const ups = parts.findIndex((part) => part !== '..');
  // After a named part, `..` may start from wherever another link leads, so only leading ones can be judged.
  if (ups >= 0 && parts.includes('..', ups)) throw refuse(`has a \`..\` after a name in its target ${shown(target)}`);
  if (posix.join(posix.dirname(path), target).split('/')[0] === '..')
    throw refuse(`points outside the zip: ${shown(target)}`);
}

/** Remembers what is where, and refuses duplicates and entries that lie below a file or a link, in whichever order they come. */
export class ArchiveTree {
  readonly #kinds = new Map<string, { kind: EntryKind; implied: boolean }>();

  /** Throws `build_failed` when the entry cannot be there. */
  add(path: string, kind: EntryKind): void {
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
      const above = path.slice(0, at);
      const known = this.#kinds.get(above);
      if (known && known.kind !== 'directory')
        throw archiveFault(`The zip has an entry below ${shown(above)}, which is a ${known.kind}.`);
      if (!known) this.#kinds.set(above, { kind: 'directory', implied: true });
    }
    const known = this.#kinds.get(path);
    if (known && !(known.implied && kind === 'directory'))
      throw archiveFault(`The zip has ${shown(path)} more than once.`);
    this.#kinds.set(path, { kind, implied: false });
  }

  kind(path: string): EntryKind | undefined {
    return this.#kinds.get(path)?.kind;
  }
}
