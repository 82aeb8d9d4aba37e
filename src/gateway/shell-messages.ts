// What a shell's client may say beside keystrokes. Everything that is none of these is typed.
import { z } from 'zod';
import { encodeCommand, encodeFrame, encodeSize, hostFrames, maxPayloadBytes } from '../contract/shell-frames.ts';

const maxControlBytes = 4_096;
const dimension = z.number().int().min(1).max(4_096);
const sizeSchema = z.object({ cols: dimension, rows: dimension });
const word = z.string().refine((text) => !text.includes('\0'));
const commandSchema = z.strictObject({
  type: z.literal('command'),
  /** Empty for a shell. */
  argv: z.array(word).max(4_096),
  terminal: z.boolean(),
  cols: dimension.optional(),
  rows: dimension.optional(),
});

export interface CommandOrder {
  argv: string[];
  terminal: boolean;
  cols?: number | undefined;
  rows?: number | undefined;
}

/** `out of bounds` for a resize that must not be carried out, nor typed. */
export function readSize(text: Buffer): z.output<typeof sizeSchema> | 'out of bounds' | undefined {
  const said = text.length > maxControlBytes ? undefined : parse(text);
  if (!isOfType(said, 'resize')) return undefined;
  return sizeSchema.safeParse(said).data ?? 'out of bounds';
}

export const isEndOfInput = (text: Buffer): boolean =>
  text.length <= maxControlBytes && isOfType(parse(text), 'end_of_input');

/** Undefined for what is no command, or too long for one. */
export function readCommand(text: Buffer): CommandOrder | undefined {
  const command = commandSchema.safeParse(parse(text)).data;
  return command && encodeCommand(command.argv).length <= maxPayloadBytes ? command : undefined;
}

export function commandFrames({ argv, terminal, cols, rows }: CommandOrder): Buffer {
  const kind = terminal ? hostFrames.terminal : hostFrames.pipes;
  const size = cols === undefined || rows === undefined ? [] : [encodeSize(cols, rows)];
  return Buffer.concat([encodeFrame(kind, encodeCommand(argv)), ...size]);
}

const isOfType = (said: unknown, type: string): boolean =>
  typeof said === 'object' && said !== null && 'type' in said && said.type === type;

function parse(text: Buffer): unknown {
  if (text[0] !== 0x7b) return undefined;
  try {
    return JSON.parse(text.toString());
  } catch {
    return undefined;
  }
}
