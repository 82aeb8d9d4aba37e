// Metrics as Prometheus reads them. https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
import { countsOf, type Histogram, secondsBounds, sumOf } from '../../lib/histogram.ts';

export type Labels = Readonly<Record<string, string>>;

export const expositionType = 'text/plain; version=0.0.4; charset=utf-8';

/** Collects families; each name once, in the order of the calls. */
export class Exposition {
  readonly #lines: string[] = [];

  /** `name` without the prefix; a counter's ends in `_total`. */
  family(type: 'counter' | 'gauge', name: string, help: string, samples: readonly (readonly [Labels, number])[]): void {
    this.#head(type, name, help);
    for (const [labels, value] of samples) this.#sample(name, labels, value);
  }

  histograms(name: string, help: string, samples: readonly (readonly [Labels, Histogram])[]): void {
    this.#head('histogram', name, help);
    for (const [labels, histogram] of samples) {
      let count = 0;
      for (const [i, more] of countsOf(histogram).entries()) {
        count += more;
        this.#sample(`${name}_bucket`, { ...labels, le: String(secondsBounds[i] ?? '+Inf') }, count);
      }
      this.#sample(`${name}_sum`, labels, sumOf(histogram));
      this.#sample(`${name}_count`, labels, count);
    }
  }

  text(): string {
    return `${this.#lines.join('\n')}\n`;
  }

  #head(type: string, name: string, help: string): void {
    this.#lines.push(`# HELP waterbear_${name} ${help}`, `# TYPE waterbear_${name} ${type}`);
  }

  #sample(name: string, labels: Labels, value: number): void {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
    this.#lines.push(`waterbear_${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`);
  }
}

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
