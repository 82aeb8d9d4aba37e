// A real VM seen from inside: runs Python or a command as root (or another user) in the application's place.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ask, buildOrder, projectFiles, type RealNode, startRealNode } from './real-node.ts';
import { type ZipEntry, zipOf } from './zip.ts';

export interface CommandEnd {
  code: number;
  out: string;
  err: string;
}

export interface InsideVm {
  host: RealNode;
  microvmId: string;
  /** Runs Python in a process of its own; the value of its variable `result`. `attempt(f, …)` gives a value or an errno's name. */
  python<T>(code: string, uid?: number): Promise<T>;
  command(...argv: string[]): Promise<CommandEnd>;
  close(): Promise<void>;
}

/** Builds the application `privileges` with additional files, and launches it. */
export async function startInsideVm(allCapabilities: boolean, more: ZipEntry[] = []): Promise<InsideVm> {
  const host = await startRealNode();
  try {
    const archivePath = join(host.directory, 'inside.zip');
    const files = (await projectFiles('privileges')).filter(({ name }) => !more.some((other) => other.name === name));
    await writeFile(archivePath, zipOf([...files, ...more]));
    const order = buildOrder(archivePath, { allCapabilities });
    await host.node.build(order, () => {});
    const microvmId = 'microvm-inside';
    await host.node.launch({ microvmId, buildId: order.buildId });
    const send = async <T>(what: Record<string, unknown>): Promise<T> => {
      const answer = await ask<{ result: T; failure?: string }>(host.node, microvmId, '/', JSON.stringify(what));
      if (answer.failure) throw new Error(answer.failure);
      return answer.result;
    };
    return {
      host,
      microvmId,
      python: (code, uid = 0) => send({ code, uid }),
      command: (...argv) => send({ argv }),
      close: () => host.close(),
    };
  } catch (error) {
    await host.close();
    throw error;
  }
}
