// Questions as tests send them, right or wrong.

interface Oddities {
  flags?: number;
  questions?: number;
  answers?: number;
  additional?: number;
  class?: number;
}

/** A question with id 7 about `name`. */
export function query(name: string, type: number, odd: Oddities = {}): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  const parts = labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')]));
  const words = [7, odd.flags ?? 0x0100, odd.questions ?? 1, odd.answers ?? 0, 0, odd.additional ?? 0];
  const bytes = (values: number[]) => Buffer.concat(values.map((value) => Buffer.from([value >> 8, value & 255])));
  return Buffer.concat([bytes(words), ...parts, Buffer.from([0]), bytes([type, odd.class ?? 1])]);
}
