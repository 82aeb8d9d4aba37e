// Replaces single sections of an INI file and keeps every other byte of it: the AWS files belong to the user.

/** Section header without brackets → its new lines. */
export type Sections = Readonly<Record<string, readonly string[]>>;

/** A section that exists is replaced where it stands (further ones of that name are dropped); others are appended. */
export function replaceSections(text: string, sections: Sections): string {
  const parts = split(text);
  const written = new Set<string>();
  let result = parts.preamble;
  for (const { header, body } of parts.sections) {
    const name = headerName(header);
    const lines = name !== undefined && Object.hasOwn(sections, name) ? sections[name] : undefined;
    if (name === undefined || lines === undefined) {
      result += header + body;
      continue;
    }
    // Comments just above the next header are about the next section.
    const kept = trailingComments(body);
    result += (written.has(name) ? '' : render(name, lines)) + kept;
    written.add(name);
  }
  for (const [name, lines] of Object.entries(sections)) {
    if (written.has(name)) continue;
    if (result !== '' && !result.endsWith('\n')) result += '\n';
    result += (result === '' || result.endsWith('\n\n') ? '' : '\n') + render(name, lines);
  }
  return result;
}

const render = (name: string, lines: readonly string[]): string =>
  `[${name}]\n${lines.map((line) => `${line}\n`).join('')}`;

/** The name as AWS's parsers see it: inner white space collapsed. */
function headerName(line: string): string | undefined {
  return /^\[\s*([^\]]*?)\s*\]/.exec(line)?.[1]?.replace(/\s+/g, ' ');
}

function split(text: string): { preamble: string; sections: { header: string; body: string }[] } {
  const lines = text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  const sections: { header: string; body: string }[] = [];
  let preamble = '';
  for (const line of lines) {
    const last = sections.at(-1);
    if (headerName(line) !== undefined) sections.push({ header: line, body: '' });
    else if (last) last.body += line;
    else preamble += line;
  }
  return { preamble, sections };
}

function trailingComments(body: string): string {
  return /(?:^|(?<=\n))(?:[ \t]*(?:[#;][^\n]*)?\r?(?:\n|$))*$/.exec(body)?.[0] ?? '';
}
