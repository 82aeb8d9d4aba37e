// The two programs that change the kernel's network, `ip` and `nft`, fed with whole batches so that few processes are started.
import { Fault, isFault } from '../lib/errors.ts';
import { run } from '../lib/process.ts';

const timeoutMs = 20_000;

/** Runs `ip` commands, one a line. `keepGoing` ignores lines that fail (removal of what may be gone). */
export async function ipBatch(lines: readonly string[], options: { namespace?: string; keepGoing?: boolean } = {}) {
  const args = [
    ...(options.namespace ? ['-n', options.namespace] : []),
    ...(options.keepGoing ? ['-force'] : []),
    '-batch',
    '-',
  ];
  try {
    await tool('ip', args, `${lines.join('\n')}\n`);
  } catch (error) {
    // With -force, ip carries on and still ends with 1.
    if (!(options.keepGoing && isFault(error, 'process_failed'))) throw error;
  }
}

/** Loads one nft script, all of it or nothing. */
export async function nftLoad(script: string, namespace?: string): Promise<void> {
  if (namespace) await tool('ip', ['netns', 'exec', namespace, 'nft', '-f', '-'], script);
  else await tool('nft', ['-f', '-'], script);
}

/** Writes `1` to settings below /proc/sys of a namespace. Only a process inside can, and Node cannot enter. */
export async function switchOn(namespace: string, settings: readonly string[]): Promise<void> {
  const paths = settings.map((name) => `/proc/sys/${name}`);
  await tool('ip', ['netns', 'exec', namespace, 'tee', ...paths], '1\n');
}

/** One question to `ip` or `nft`, answered in JSON. */
export async function askJson(command: 'ip' | 'nft', args: readonly string[]): Promise<unknown> {
  const text = await tool(command, ['-j', ...args]);
  return JSON.parse(text.trim() || '[]');
}

async function tool(command: string, args: readonly string[], input?: string): Promise<string> {
  try {
    const result = await run(command, args, {
      timeoutMs,
      maxOutputBytes: 16 << 20,
      ...(input === undefined ? {} : { input }),
    });
    return result.stdout;
  } catch (error) {
    if (isFault(error, 'missing_tool')) {
      throw new Fault('missing_tool', { tool: command, next: 'sudo apt-get install iproute2 nftables' }, error);
    }
    if (isFault(error, 'process_failed') && /Operation not permitted|Permission denied/.test(`${error.facts.stderr}`)) {
      throw missingRight('the capabilities CAP_NET_ADMIN and CAP_SYS_ADMIN', error);
    }
    throw error;
  }
}

/** Why slots cannot be made, and what to do. */
export function missingRight(right: string, cause?: unknown): Fault {
  const next = 'Start the server as root on Linux, or choose user networking.';
  return new Fault('missing_right', { what: 'A network for each MicroVM', right, next }, cause);
}
