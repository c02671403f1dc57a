// The data of a page: a small JSON header, then typed columns (see src/mapscope/report/page/pack.py).

/** One column as the header names it. */
interface ColumnHead {
  readonly t: "u1" | "u2" | "u4" | "u8" | "i4" | "i8" | "f8" | "str";
  readonly at: number;
  readonly n: number;
}

interface Header {
  readonly pack: number;
  readonly schema: number;
  readonly kind: string;
  readonly tool: { readonly name: string; readonly version: string };
  readonly strings: { readonly text: number; readonly bytes: number; readonly ends: number; readonly n: number };
  readonly values: Readonly<Record<string, unknown>>;
  readonly sections: Readonly<Record<string, Readonly<Record<string, ColumnHead>>>>;
}

/** The layout of bytes that this page reads; the header says which it has. */
export const PACK = 1;
/** The schema of the data that this page knows. */
export const SCHEMA = 1;

type Words = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array | BigUint64Array | BigInt64Array;

/** One typed column. Missing text is null; numbers beyond 2^53 are exact in `exact`. */
export class Column {
  constructor(
    private readonly words: Words,
    private readonly strings: readonly string[] | null,
  ) {}

  get length(): number {
    return this.words.length;
  }

  /** As a number; 0 outside the column. */
  number(row: number): number {
    return Number(this.words[row] ?? 0);
  }

  /** As an exact integer. */
  exact(row: number): bigint {
    const word = this.words[row] ?? 0;
    return typeof word === "bigint" ? word : BigInt(Math.trunc(word));
  }

  /** As an address: 0xc000012345. */
  hex(row: number): string {
    return `0x${this.exact(row).toString(16)}`;
  }

  /** As text; null where there is none. */
  text(row: number): string | null {
    const code = Number(this.words[row] ?? -1);
    return this.strings && code >= 0 ? (this.strings[code] ?? null) : null;
  }

  /** The number of the text, for grouping; -1 where there is none. */
  code(row: number): number {
    return Number(this.words[row] ?? -1);
  }

  /** The sum, as a number. */
  sum(): number {
    let sum = 0;
    for (let row = 0; row < this.words.length; row++) sum += Number(this.words[row]);
    return sum;
  }
}

const NONE = new Column(new Uint8Array(0), null);

/** Columns of equal length. */
export class Section {
  constructor(
    readonly rows: number,
    private readonly columns: ReadonlyMap<string, Column>,
  ) {}

  has(name: string): boolean {
    return this.columns.has(name);
  }

  /** A column by name; one that is not there is empty. */
  col(name: string): Column {
    return this.columns.get(name) ?? NONE;
  }
}

/** A pack that has been opened. */
export class Pack {
  constructor(
    readonly kind: string,
    readonly schema: number,
    readonly tool: { readonly name: string; readonly version: string },
    readonly values: Readonly<Record<string, unknown>>,
    private readonly sections: ReadonlyMap<string, Section>,
  ) {}

  /** A section by name; one that is not there has no rows. */
  section(name: string): Section {
    return this.sections.get(name) ?? new Section(0, new Map());
  }
}

/** The data cannot be shown; the message is for the reader. */
export class PackError extends Error {}

/** Opens the bytes of a pack. Throws PackError. */
export function openPack(bytes: ArrayBuffer): Pack {
  if (bytes.byteLength < 8) throw new PackError("The data of this page is cut short.");
  const size = new DataView(bytes).getUint32(0, true);
  if (size > bytes.byteLength - 8) throw new PackError("The data of this page is cut short.");
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, size))) as Header;
  const by = `mapscope ${head.tool?.version ?? "of an unknown version"}`;
  if (head.pack !== PACK || head.schema !== SCHEMA) {
    throw new PackError(
      `This report was written by ${by}, with schema ${head.schema}; this page knows schema ${SCHEMA}. ` +
        "Open it with the page of that version, or analyse the evidence again.",
    );
  }
  const body = (8 + size + 7) & ~7;
  const strings = textsOf(bytes, body, head.strings);
  const sections = new Map<string, Section>();
  for (const [name, columns] of Object.entries(head.sections)) {
    const made = new Map<string, Column>();
    let rows = 0;
    for (const [column, about] of Object.entries(columns)) {
      made.set(column, new Column(wordsOf(bytes, body, about), about.t === "str" ? strings : null));
      rows = Math.max(rows, about.n);
    }
    sections.set(name, new Section(rows, made));
  }
  return new Pack(head.kind, head.schema, head.tool, head.values, sections);
}

function wordsOf(bytes: ArrayBuffer, body: number, about: ColumnHead): Words {
  const at = body + about.at;
  switch (about.t) {
    case "u1":
      return new Uint8Array(bytes, at, about.n);
    case "u2":
      return new Uint16Array(bytes, at, about.n);
    case "u4":
      return new Uint32Array(bytes, at, about.n);
    case "u8":
      return new BigUint64Array(bytes, at, about.n);
    case "i8":
      return new BigInt64Array(bytes, at, about.n);
    case "f8":
      return new Float64Array(bytes, at, about.n);
    case "i4":
    case "str":
      return new Int32Array(bytes, at, about.n);
  }
}

function textsOf(bytes: ArrayBuffer, body: number, about: Header["strings"]): string[] {
  const ends = new Uint32Array(bytes, body + about.ends, about.n + 1);
  const text = new Uint8Array(bytes, body + about.text, about.bytes);
  const decoder = new TextDecoder();
  const out: string[] = [];
  for (let at = 0; at < about.n; at++) out.push(decoder.decode(text.subarray(ends[at], ends[at + 1])));
  return out;
}
