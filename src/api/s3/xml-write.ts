// S3's answers as XML. An element is its name and its text, or its children.

export type XmlContent = string | number | boolean | readonly XmlElement[];
export type XmlElement = readonly [name: string, content: XmlContent];

const namespace = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** A whole document in S3's namespace (errors have none). */
export function xmlDocument(root: string, content: XmlContent, xmlns = namespace): string {
  const attribute = xmlns === '' ? '' : ` xmlns="${xmlns}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root}${attribute}>${render(content)}</${root}>`;
}

function render(content: XmlContent): string {
  if (typeof content === 'string') return escapeText(content);
  if (typeof content !== 'object') return String(content);
  return content.map(([name, inner]) => `<${name}>${render(inner)}</${name}>`).join('');
}

// Control characters as references: a parser would otherwise normalize a carriage return away, and refuse the others.
const special = /[&<>"']|\p{Cc}/gu;

function escapeText(text: string): string {
  return text.replace(special, (char) => `&#x${char.charCodeAt(0).toString(16)};`);
}
