// The way out of a connection that hangs, as ssh has it: `~.` at the beginning of a line.

export interface Escaped {
  /** What is typed. */
  bytes: Buffer;
  /** The user wants to leave. */
  leave: boolean;
}

const [tilde, dot, cr, lf] = Buffer.from('~.\r\n');

/** Filters keystrokes; it remembers what came before. */
export class EscapeFilter {
  #state: 'line start' | 'tilde' | 'within' = 'line start';

  pass(keys: Buffer): Escaped {
    const bytes: number[] = [];
    for (const key of keys) {
      if (this.#state === 'tilde') {
        if (key === dot) return { bytes: Buffer.from(bytes), leave: true };
        // `~~` is one; before anything else the held one is typed.
        if (key !== tilde) bytes.push(tilde ?? 0);
      } else if (this.#state === 'line start' && key === tilde) {
        this.#state = 'tilde';
        continue;
      }
      bytes.push(key);
      this.#state = key === cr || key === lf ? 'line start' : 'within';
    }
    return { bytes: Buffer.from(bytes), leave: false };
  }
}
