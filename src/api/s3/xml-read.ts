// The one place that parses XML: small documents only, no document type, no entities but the five predefined and numbers.
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { z } from 'zod';
import { Fault } from '../../lib/errors.ts';

export const maxXmlBytes = 1024 * 1024;

const parser = new XMLParser({
  ignoreAttributes: true,
  removeNSPrefix: true,
  parseTagValue: false,
  trimValues: false,
  processEntities: false,
  maxNestedTags: 16,
});

export const malformedXml = (cause?: unknown): Fault =>
  new Fault(
    'invalid_input',
    {
      what: 'The XML you provided was not well-formed or did not validate against our published schema.',
      s3Error: 'MalformedXML',
    },
    cause,
  );

/** Parses `text` and checks it against `schema`. Text values stay strings; repeated elements become arrays. */
export function readXml<T>(text: string, schema: z.ZodType<T>): T {
  if (/<!DOCTYPE|<!ENTITY|<!\[CDATA/i.test(text)) throw malformedXml();
  let document: unknown;
  try {
    if (XMLValidator.validate(text) !== true) throw malformedXml();
    document = parser.parse(text);
  } catch (cause) {
    throw malformedXml(cause);
  }
  const parsed = schema.safeParse(document);
  if (!parsed.success) throw malformedXml(parsed.error);
  return parsed.data;
}

/** The text of an element, with its character references resolved. */
export const xmlText = z.string().transform(decodeText);

/** One element or many, as an array. */
export const xmlList = <T>(item: z.ZodType<T>): z.ZodType<T[]> =>
  z.preprocess((value) => (Array.isArray(value) ? value : [value]), z.array(item));

const named: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function decodeText(text: string): string {
  return text.replace(/&(?:#([0-9]{1,7})|#x([0-9a-fA-F]{1,6})|(\w{1,8}));/g, (whole, decimal, hex, name) => {
    if (name !== undefined) return named[name] ?? whole;
    const point = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return point <= 0x10ffff && (point < 0xd800 || point > 0xdfff) ? String.fromCodePoint(point) : whole;
  });
}
