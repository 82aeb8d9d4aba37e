// The sockets of a VMM lie in its scratch directory, which is its own: a VMM that was broken out of may have put anything in their place.
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { pause } from '../../lib/deadline.ts';
import { Fault } from '../../lib/errors.ts';
import { sockets } from './machine-shape.ts';
import { O_PATH } from './memfd.ts';
import { Qmp } from './qmp.ts';

export interface VmmSockets {
  qmp: Qmp;
  control: Socket;
  console: Socket;
  log: Socket;
}

/** The scratch directory of a process with this run directory, as seen from here while it lives. */
export const scratchOf = (pid: number, runDirectory: string): string => `/proc/${pid}/root${runDirectory}`;

/** Connects to all of them, the monitor first and negotiated. Gives up when `stop` fires; then none is left open. */
export async function connectSockets(scratch: string, stop: AbortSignal): Promise<VmmSockets> {
  const path = (name: string): string => join(scratch, name);
  // QEMU has opened all its sockets before it answers on the monitor.
  const qmp = await connectQmp(path(sockets.qmp), stop);
  const opened: Socket[] = [];
  const open = async (name: string): Promise<Socket> => {
    const socket = await connectSoon(path(name), stop);
    opened.push(socket);
    return socket;
  };
  try {
    const names = [sockets.control, sockets.console, sockets.log];
    const settled = await Promise.allSettled(names.map(open));
    const [control, console, log] = settled.map((one) => {
      if (one.status === 'rejected') throw one.reason;
      return one.value;
    });
    if (!control || !console || !log) throw new Fault('internal', { what: 'A VMM without sockets.' });
    return { qmp, control, console, log };
  } catch (error) {
    qmp.close();
    for (const socket of opened) socket.destroy();
    throw error;
  }
}

export function letGo({ qmp, control, console, log }: VmmSockets): void {
  qmp.close();
  for (const socket of [control, console, log]) socket.destroy();
}

/** Connects and negotiates. */
export async function connectQmp(path: string, signal: AbortSignal): Promise<Qmp> {
  const qmp = new Qmp(await connectSoon(path, signal));
  try {
    await qmp.execute('qmp_capabilities');
    return qmp;
  } catch (error) {
    qmp.close();
    throw error;
  }
}

/** Connects to a socket that a starting process is about to open; gives up when `signal` fires. */
export async function connectSoon(path: string, signal: AbortSignal): Promise<Socket> {
  for (;;) {
    try {
      return await connectTo(path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ECONNREFUSED' && code !== 'EAGAIN') throw error;
    }
    await pause(2, signal);
  }
}

/** Follows no link: an absolute one would lead to the host's sockets. */
async function connectTo(path: string): Promise<Socket> {
  const fd = openSync(path, O_PATH | constants.O_NOFOLLOW);
  try {
    if (!fstatSync(fd).isSocket()) throw new Fault('vmm_failed', { what: `has no socket at ${path}` });
    const socket = connect(`/proc/self/fd/${fd}`);
    const error = await new Promise<Error | undefined>((resolve) => {
      socket.once('connect', () => resolve(undefined));
      socket.once('error', resolve);
    });
    if (!error) return socket;
    socket.destroy();
    throw error;
  } finally {
    closeSync(fd);
  }
}
