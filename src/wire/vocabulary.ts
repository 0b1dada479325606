/** The names that a schema knows, and the one nearest to a name it does not. @module */
import * as z from "zod";

const vocabularies = new WeakMap<z.ZodType, ReadonlySet<string>>();

/** Every field name of a schema, at any depth. */
export function namesOf(schema: z.ZodType): ReadonlySet<string> {
  let names = vocabularies.get(schema);
  if (names === undefined) {
    names = new Set(collect(schema));
    vocabularies.set(schema, names);
  }
  return names;
}

function collect(schema: unknown): string[] {
  if (schema instanceof z.ZodObject) {
    const fields = Object.entries(schema.shape);
    return fields.flatMap(([name, field]) => [name, ...collect(field)]);
  }
  if (schema instanceof z.ZodRecord) return collect(schema.valueType);
  if (schema instanceof z.ZodUnion) return schema.options.flatMap(collect);
  if (schema instanceof z.ZodPipe) return collect(schema.in);
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodOptional) {
    return collect(schema.unwrap());
  }
  return [];
}

/** The known name with the fewest edits to `name`, if these are few enough to be a slip. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  const most = Math.max(1, Math.floor(name.length / 3));
  let best: { name: string; edits: number } | undefined;
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) > most) continue;
    const edits = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (edits <= most && edits < (best?.edits ?? Infinity)) best = { name: candidate, edits };
  }
  return best?.name;
}

/** Levenshtein's distance: insertions, deletions and substitutions, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, substituted));
    }
    row = next;
  }
  return row[b.length];
}
