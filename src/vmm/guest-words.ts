// What the guest agent may say, as schemas. The guest is hostile: sizes are limited, text is made safe for logs and for people.
import { z } from 'zod';
import { Fault } from '../lib/errors.ts';
import { printableLine } from '../lib/printable.ts';

const maxMessageLength = 512;

const text = (limit: number) => z.string().transform((value) => printableLine(value, limit));

/** Answer to a question; `ok` is parsed once it is known what was asked. */
const answer = z.object({
  id: z.number().int().positive(),
  ok: z.unknown().optional(),
  error: z
    .object({ code: z.enum(['timeout', 'refused', 'failed', 'invalid']), message: text(maxMessageLength) })
    .optional(),
});

/** Of the application's main process; the signal by its name, like `killed`. */
const exited = z.object({
  event: z.literal('exited'),
  exitCode: z.number().int().min(0).max(255).optional(),
  signal: z
    .string()
    .regex(/^[a-zA-Z0-9 /-]{1,32}$/)
    .optional(),
});

export type GuestAnswer = z.infer<typeof answer>;
export type GuestEvent = z.infer<typeof exited>;

export const words = {
  /** `elapsedMs`: by the guest's clock, since its agent began; earlier agents do not say it. */
  hello: z.object({ agent: text(64), kernel: text(128), elapsedMs: z.number().int().nonnegative().optional() }),
  nothing: z.unknown().transform(() => undefined),
  listening: z.object({ listening: z.boolean() }),
  hook: z.object({ status: z.number().int().min(100).max(999) }),
  freshen: z.object({
    repaired: z.array(z.enum(['clock', 'entropy', 'machine-id', 'boot-id', 'hostname', 'sockets'])).max(16),
  }),
} as const;

/** One line of the control port, or nothing when it makes no sense. */
export function parseGuestLine(line: string): { event: GuestEvent } | { answer: GuestAnswer } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const reply = answer.safeParse(value);
  if (reply.success) return { answer: reply.data };
  const event = exited.safeParse(value);
  return event.success ? { event: event.data } : undefined;
}

/** The content of an `ok`. Throws `guest_failed` when it is not what `call` is answered with. */
export function parseOk<T>(schema: z.ZodType<T>, call: string, ok: unknown): T {
  const parsed = schema.safeParse(ok);
  if (!parsed.success)
    throw new Fault('guest_failed', { what: `answered ${call} with something else than its answer` });
  return parsed.data;
}

/** The fault behind an `error` answer. */
export function guestFault(error: { code: string; message: string }): Fault {
  if (error.code === 'timeout') return new Fault('deadline_exceeded', { what: `The guest (${error.message})`, ms: 0 });
  return new Fault('guest_failed', { what: `answered ${error.code}: ${error.message}`, guestCode: error.code });
}
