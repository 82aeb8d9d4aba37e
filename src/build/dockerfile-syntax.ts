// Splits a Dockerfile into instructions with their line numbers, as far as the checks before a build need it. The build itself
// is done by buildah's own parser. https://docs.docker.com/reference/dockerfile/
export interface Instruction {
  /** Upper case. */
  keyword: string;
  /** Everything after the keyword, continuation lines joined. */
  rest: string;
  /** 1-based, inclusive. */
  firstLine: number;
  lastLine: number;
}

export interface HeredocUse {
  name: string;
  line: number;
}

/** The escape character that a `# escape=` directive at the top chooses. */
function escapeCharacter(lines: readonly string[]): string {
  for (const line of lines) {
    const directive = /^\s*#\s*([a-z]+)\s*=\s*(.*?)\s*$/i.exec(line);
    if (!directive) break;
    if (directive[1]?.toLowerCase() === 'escape') return directive[2] === '`' ? '`' : '\\';
  }
  return '\\';
}

export function parseDockerfile(text: string): Instruction[] {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  const continues = escapeCharacter(lines) === '`' ? /`[ \t]*$/ : /\\[ \t]*$/;
  const instructions: Instruction[] = [];
  let open: { text: string; firstLine: number } | undefined;
  lines.forEach((line, index) => {
    // Comments and empty lines do not end a continued instruction.
    if (/^\s*(#|$)/.test(line)) return;
    open ??= { text: '', firstLine: index + 1 };
    const more = continues.test(line);
    open.text += more ? line.replace(continues, '') : line;
    if (more) return;
    instructions.push(instruction(open.text, open.firstLine, index + 1));
    open = undefined;
  });
  if (open !== undefined) instructions.push(instruction(open.text, open.firstLine, lines.length));
  return instructions;
}

function instruction(text: string, firstLine: number, lastLine: number): Instruction {
  const [, keyword = '', rest = ''] = /^\s*(\S*)\s*(.*)$/s.exec(text) ?? [];
  return { keyword: keyword.toUpperCase(), rest, firstLine, lastLine };
}

/** Words outside quotes; a quoted stretch stays part of its word. */
export function words(rest: string): string[] {
  return rest.match(/(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\]|["'\\])+/gs) ?? [];
}

/** The heredocs an instruction opens, by BuildKit's rule: a word that is `<<NAME`, `<<-NAME` or has digits before it. */
export function heredocs(found: Instruction): HeredocUse[] {
  if (!['RUN', 'COPY', 'ADD'].includes(found.keyword)) return [];
  return words(found.rest).flatMap((word) => {
    const name = /^\d*<<-?["']?([A-Za-z_][\w.-]*)["']?$/.exec(word)?.[1];
    return name === undefined ? [] : [{ name, line: found.firstLine }];
  });
}
