// Text that a stranger wrote, made safe for logs, terminals and error messages: no escape sequences, no control or direction characters.

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const escapeSequences = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[ -/]*[0-~])/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const controls = /[\0-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]/g;

/** Keeps line feeds and tabs; terminal colours and the like vanish, other control characters become U+FFFD. */
export function printable(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(escapeSequences, '').replace(controls, '\ufffd');
}

/** `printable` on one line, at most `limit` characters. */
export function printableLine(text: string, limit: number): string {
  const line = printable(text.slice(0, 4 * limit)).replace(/[\n\t]+/g, ' ');
  return line.length > limit ? `${line.slice(0, limit - 1)}…` : line;
}
