// What was wrong, in sentences, each once.

/** Lost: something acknowledged is not there. Leaked: something is left of nobody. Broken: any other promise. */
export type FindingKind = 'lost' | 'leaked' | 'broken';

export interface Finding {
  kind: FindingKind;
  /** Of the kill before it. */
  round: number;
  what: string;
}

export class Findings {
  readonly all: Finding[] = [];
  round = 0;
  readonly #known = new Set<string>();

  add(kind: FindingKind, what: string): void {
    if (this.#known.has(what)) return;
    this.#known.add(what);
    this.all.push({ kind, round: this.round, what });
  }

  count(kind: FindingKind): number {
    return this.all.filter((finding) => finding.kind === kind).length;
  }
}
