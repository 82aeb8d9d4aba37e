// JSON files that carry their own SHA-256 in a last line, so that a flip of any bit in them is found, also in members that nobody reads
// for a long time. Files of earlier versions have no such line.
import { createHash } from 'node:crypto';

/** `value` is an object. */
export function sealJson(value: object, indent = 0): string {
  const text = JSON.stringify(value, undefined, indent);
  return `${text}\n${sha256(text)}\n`;
}

/** The JSON text in it. Throws when the seal does not fit. */
export function openSealed(text: string): string {
  const { json, isWhole } = readSealed(text);
  if (!isWhole) throw new Error('its checksum does not fit');
  return json;
}

/** For whoever prefers a record that may be damaged to none. */
export function readSealed(text: string): { json: string; isSealed: boolean; isWhole: boolean } {
  const end = text.lastIndexOf('}') + 1;
  const [json, rest] = [text.slice(0, end), text.slice(end)];
  if (rest.trim() === '') return { json, isSealed: false, isWhole: true };
  return { json, isSealed: true, isWhole: rest === `\n${sha256(json)}\n` };
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
