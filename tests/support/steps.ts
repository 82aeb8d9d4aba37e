// Every step by which this process changes something that outlives it, told before it is done: files and directories, commits of SQLite (also after them), child processes
// (also after their spawn). What is under test is not changed for that: its imports of Node's modules are.
import childProcess from 'node:child_process';
import { closeSync, openSync, readdirSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import fs, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';

export interface Step {
  /** e.g. `rename`, `write`, `before commit`, `spawned`. */
  operation: string;
  /** What is changed: for two paths the new one; for a process its program. */
  path: string;
  /** Does a part of it at a path that has what `path` has: as if it was cut off. Absent where it is done at once. */
  half?: (at: string) => void;
}

export type StepListener = (step: Step) => void;

type Arguments = readonly unknown[];
type Method = (this: unknown, ...args: Arguments) => unknown;
type Methods = Record<string, Method>;

/** Which argument is the path that changes. */
const changesOf = new Map([
  ...['appendFile', 'chmod', 'chown', 'mkdir', 'mkdtemp', 'rm', 'rmdir', 'truncate', 'unlink', 'writeFile'].map(
    (name) => [name, 0] as const,
  ),
  ...['copyFile', 'cp', 'link', 'rename', 'symlink'].map((name) => [name, 1] as const),
]);
const handleChanges = ['appendFile', 'datasync', 'sync', 'truncate', 'write', 'writeFile', 'writev'];

/** Tells `listener` of each step of this thread until the function that it resolves with is called. One at a time. */
export async function watchSteps(listener: StepListener): Promise<() => void> {
  const undo: (() => void)[] = [];
  const patch = (methods: Methods, name: string, wrap: (original: Method) => Method): void => {
    const original = methods[name];
    if (!original) return;
    methods[name] = wrap(original);
    undo.push(() => {
      methods[name] = original;
    });
  };
  patchFiles(patch, listener);
  await patchHandles(patch, listener);
  patchSqlite(patch, listener);
  patch(childProcess as unknown as Methods, 'spawn', (original) => (command, ...more) => {
    const path = String(command);
    listener({ operation: 'spawn', path });
    const child = original(command, ...more);
    listener({ operation: 'spawned', path });
    return child;
  });
  syncBuiltinESMExports();
  return () => {
    for (const one of undo.reverse()) one();
    syncBuiltinESMExports();
  };
}

type Patch = (methods: Methods, name: string, wrap: (original: Method) => Method) => void;

const paths = new WeakMap<object, string>();

function patchFiles(patch: Patch, listener: StepListener): void {
  for (const [name, index] of changesOf) {
    patch(fs as unknown as Methods, name, (original) => (...args) => {
      const path = String(args[index]);
      listener({ operation: name, path, ...halfOf(name, args) });
      return original(...args);
    });
  }
  patch(fs as unknown as Methods, 'open', (original) => async (...args) => {
    const [path, flags = 'r'] = args;
    if (flags !== 'r') listener({ operation: 'create', path: String(path) });
    const handle = (await original(...args)) as FileHandle;
    paths.set(handle, String(path));
    return handle;
  });
}

function halfOf(name: string, args: Arguments): Pick<Step, 'half'> {
  if (name === 'rm') return { half: removeHalf };
  if (name !== 'writeFile') return {};
  const content = Buffer.from(args[1] as string);
  return { half: (at) => writeFileSync(at, content.subarray(0, content.length >> 1)) };
}

/** The first half of the files in a tree, by name. */
function removeHalf(at: string): void {
  const files = filesBelow(at).sort();
  for (const file of files.slice(0, Math.ceil(files.length / 2))) rmSync(file);
}

function filesBelow(directory: string): string[] {
  try {
    return readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name));
  } catch {
    // A file, or nothing: either goes at once.
    return [];
  }
}

async function patchHandles(patch: Patch, listener: StepListener): Promise<void> {
  const handle = await fs.open('/dev/null');
  const methods = Object.getPrototypeOf(handle) as Methods;
  await handle.close();
  for (const name of handleChanges) {
    patch(
      methods,
      name,
      (original) =>
        function (this: unknown, ...args) {
          const path = paths.get(this as object);
          if (path !== undefined) listener({ operation: name, path, ...halfWrite(name, args) });
          return original.apply(this, args as unknown[]);
        },
    );
  }
}

function halfWrite(name: string, [parts, position]: Arguments): Pick<Step, 'half'> {
  if (name !== 'writev') return {};
  const all = Buffer.concat(parts as Uint8Array[]);
  const half = (at: string): void => {
    const file = openSync(at, 'r+');
    writeSync(file, all, 0, all.length >> 1, Number(position ?? 0));
    closeSync(file);
  };
  return all.length > 1 ? { half } : {};
}

function patchSqlite(patch: Patch, listener: StepListener): void {
  const scratch = new SqliteDatabase(':memory:');
  const methods = Object.getPrototypeOf(scratch.prepare('select 1')) as Methods;
  scratch.close();
  for (const name of ['run', 'all', 'get']) {
    patch(
      methods,
      name,
      (original) =>
        function (this: unknown, ...args) {
          const { source, readonly, database } = this as SqliteDatabase.Statement;
          const commits = database.inTransaction ? /^\s*commit/i.test(source) : !readonly && !/^\s*begin/i.test(source);
          if (commits) listener({ operation: 'before commit', path: database.name });
          const result = original.apply(this, args as unknown[]);
          if (commits) listener({ operation: 'after commit', path: database.name });
          return result;
        },
    );
  }
}
