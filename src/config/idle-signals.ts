// Which signals keep a MicroVM awake, as the operator names them: `requests`, `lease`, `cpu` or `cpu=PERCENT`, `outbound` or
// `outbound=BYTES`, or `none`.
import { z } from 'zod';
import type { IdleSignals } from '../contract/limits.ts';

/**
 * Under emulation, where it shows most, an idle guest takes 0.4 to 1.2 % of a processor, one with a hundred timers a second about as much
 * as the emulation of those costs (docs/compatibility.md): housekeeping stays below, one busy thread is far above, whatever the size.
 */
export const defaultCpuPercent = 10;

/**
 * Between two looks, 5 s apart at most. A keep-alive is some hundred bytes, a poll over a new TLS connection about 3 KB; the question to a
 * language model, a push, a download of a megabyte (by its acknowledgements) are above.
 */
export const defaultOutboundBytes = 8192;

const bounds = { cpu: [1, 1600], outbound: [1, 2 ** 30] } as const;

/** One of the words above. */
export const idleSignalSetting = z.string().superRefine((text, context) => {
  const read = readSignal(text);
  if (typeof read === 'string') context.addIssue({ code: 'custom', message: read });
});

/** The signals that these words, which were checked by `idleSignalSetting`, stand for. */
export function idleSignals(words: readonly string[]): IdleSignals {
  const read = words.map(readSignal).filter((one) => typeof one !== 'string');
  return Object.assign({ requests: false, lease: false }, ...read);
}

/** What is wrong with the word, or what it turns on. */
function readSignal(text: string): Partial<IdleSignals> | string {
  const [, name, value] = /^([a-z]+)(?:=(\d{1,10}))?$/.exec(text) ?? [];
  if (name === 'cpu' || name === 'outbound') {
    const [least, most] = bounds[name];
    const fallback = name === 'cpu' ? defaultCpuPercent : defaultOutboundBytes;
    const number = value === undefined ? fallback : Number(value);
    if (number < least || number > most) return `${name} must be a whole number, ${least} to ${most}`;
    return name === 'cpu' ? { cpuPercent: number } : { outboundBytes: number };
  }
  if (value === undefined && name === 'requests') return { requests: true };
  if (value === undefined && name === 'lease') return { lease: true };
  if (value === undefined && name === 'none') return {};
  return `there is no signal "${text}"; there are: requests, lease, cpu, cpu=PERCENT, outbound, outbound=BYTES, none`;
}
