// The conformance tables of docs/compatibility.md. `node tests/conformance/report/report.ts` writes them; a test compares.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ChoiceResult, runChoices } from './run-choices.ts';
import { type ErrorResult, runErrors } from './run-errors.ts';
import { type OperationResult, runOperations } from './run-operations.ts';

const begin = '<!-- conformance: written by `npm run conformance` -->';
const end = '<!-- conformance: end -->';
export const page = join(import.meta.dirname, '../../../docs/compatibility.md');

export interface Results {
  operations: OperationResult[];
  errors: ErrorResult[];
  choices: ChoiceResult[];
}

export async function collectResults(): Promise<Results> {
  return { operations: await runOperations(), errors: await runErrors(), choices: await runChoices() };
}

const short = (names: readonly string[]): string =>
  names.map((name) => name.replace(/Exception$/, '')).join(', ') || '–';

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

export function reportText({ operations, errors, choices }: Results): string {
  const working = operations.filter(({ outcome }) => outcome === 'works').length;
  return [
    begin,
    `Every operation, called with the AWS SDK for JavaScript: ${working} of ${operations.length} work.`,
    table(
      ['Operation', 'Result', 'Its errors that were provoked', 'Not provoked'],
      operations.map(({ operation, outcome, seen, unseen }) => [operation, outcome, short(seen), short(unseen)]),
    ),
    'Errors of the door, which no operation names:',
    table(
      ['Provoked by', 'Answer'],
      errors.map(({ by, expected, got }) => [by, got === expected ? got : `${got} instead of ${expected}`]),
    ),
    'Where sources disagree, tried out:',
    table(
      ['Topic', 'Waterbear', 'Holds'],
      choices.map(({ topic, choice, holds }) => [topic, choice, holds ? 'yes' : 'NO']),
    ),
    end,
  ].join('\n\n');
}

/** The page with other tables. Throws when it has no place for them. */
export function withReport(text: string, report: string): string {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${page} has no lines "${begin}" and "${end}".`);
  return text.slice(0, from) + report + text.slice(to + end.length);
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(page, withReport(readFileSync(page, 'utf8'), reportText(await collectResults())));
}
