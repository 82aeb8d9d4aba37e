// One line on a terminal that is written over and over; nothing anywhere else.
import type { Output } from './surroundings.ts';

export interface ProgressLine {
  show(text: string): void;
  clear(): void;
}

const clearLine = '\r\x1b[K';

export function progressLine(out: Output): ProgressLine {
  return {
    // A line that wraps could not be cleared again.
    show: (text) =>
      void (out.isTty && out.write(`${clearLine}${text.slice(0, Math.max(0, (out.columns?.() ?? 80) - 1))}`)),
    clear: () => void (out.isTty && out.write(clearLine)),
  };
}

/** `[#####---------]  34 %  1,234 of 3,456 MiB` */
export function progressBar(done: number, total: number): string {
  const part = total === 0 ? 1 : Math.min(1, done / total);
  const width = 30;
  const filled = Math.round(part * width);
  const mib = (bytes: number): string => Math.round(bytes / 2 ** 20).toLocaleString('en-US');
  const percent = String(Math.floor(part * 100)).padStart(3);
  return `[${'#'.repeat(filled)}${'-'.repeat(width - filled)}] ${percent} %  ${mib(done)} of ${mib(total)} MiB`;
}
