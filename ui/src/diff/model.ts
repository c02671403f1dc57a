// The data of a page of two snapshots (src/mapscope/report/page/diff.py).

import type { Pack, Section } from "../pack.ts";
import type { Finding, Step } from "../snapshot/model.ts";

export interface Amounts {
  maps: number;
  entries: number;
  bytes: number;
  waste_bytes: number;
}

export interface Side {
  evidence: { path: string; missing: string[]; warnings: string[] };
  process: { go_version: string; arch: string; pid: number | null };
  live_bytes: number;
}

export interface FindingChange {
  status: string;
  bytes_then: number;
  bytes_now: number;
  maps_then: number;
  maps_now: number;
  finding: Finding;
}

interface Fate {
  total: number;
  shown: number;
  change: Amounts;
}

export interface Values {
  old: Side;
  new: Side;
  same_process: boolean;
  same_build: boolean;
  collections: number | null;
  warnings: string[];
  then: Amounts;
  now: Amounts;
  change: Amounts;
  next: string[];
  parts: { id: string; label: string; bytes: number; why: string }[][];
  findings: FindingChange[];
  findings_rest: { findings: number; bytes: number };
  fates: Record<"grown" | "shrunk" | "new" | "gone", Fate> & { stalled: { total: number; shown: number } };
}

/** Sums by name, their words, and whether they are bytes. */
export const AMOUNTS: readonly (readonly [keyof Amounts, string, boolean])[] = [
  ["maps", "maps", false],
  ["entries", "entries", false],
  ["bytes", "bytes", true],
  ["waste_bytes", "bytes beyond need", true],
];

/** The colour of what became of a map. */
export const FATES: Record<string, string> = { grown: "bad", new: "bad", shrunk: "good", gone: "good", same: "" };

type Name = "maps" | "entries" | "bytes" | "waste";

/** Maps and groups of them that moved, or whose growth stands still. */
export class Moves {
  readonly rows: readonly number[];
  private readonly section: Section;
  private readonly sides: { then: Section; now: Section };

  constructor(private readonly pack: Pack) {
    this.section = pack.section("moves");
    this.sides = { then: pack.section("then"), now: pack.section("now") };
    this.rows = Array.from({ length: this.section.rows }, (_, row) => row);
  }

  fate(row: number): string {
    return this.section.col("fate").text(row) ?? "";
  }

  stalled(row: number): boolean {
    return this.section.col("stalled").number(row) !== 0;
  }

  matched(row: number): string | null {
    return this.section.col("matched").text(row);
  }

  type(row: number): string {
    return this.section.col("type").text(row) ?? "map of unknown type";
  }

  amount(row: number, name: Name, side: "then" | "now"): number {
    return this.section.col(`${name}_${side}`).number(row);
  }

  change(row: number, name: Name): number {
    return this.amount(row, name, "now") - this.amount(row, name, "then");
  }

  there(row: number, side: "then" | "now"): boolean {
    return this.sides[side].col("there").number(row) !== 0;
  }

  /** A field of the header, or a sum of bytes, of the largest map of a side; null where that side has none. */
  field(row: number, name: string, side: "then" | "now"): number | null {
    return this.there(row, side) ? this.sides[side].col(name).number(row) : null;
  }

  hex(row: number, name: string, side: "then" | "now"): string | null {
    return this.there(row, side) ? this.sides[side].col(name).hex(row) : null;
  }

  word(row: number, name: string, side: "then" | "now"): string | null {
    return this.sides[side].col(name).text(row);
  }

  /** The address of the largest map, of the newer snapshot where it is there: names the row on the page. */
  key(row: number): string {
    return `${this.fate(row)}-${this.hex(row, "address", this.there(row, "now") ? "now" : "then") ?? ""}`;
  }

  chain(row: number): Step[] {
    const ends = this.pack.section("chains").col("end");
    const links = this.pack.section("links").col("step");
    const steps = this.pack.section("steps");
    const out: Step[] = [];
    for (let at = row ? ends.number(row - 1) : 0; at < ends.number(row); at++) {
      const step = links.number(at);
      out.push({
        kind: steps.col("kind").text(step) ?? "",
        label: steps.col("label").text(step) ?? "",
        field: steps.col("field").text(step),
        address: steps.col("address").text(step),
        goroutine: null,
      });
    }
    return out;
  }

  /** The way to it in a few words: its root, and the last field that leads to it. */
  owner(row: number): string {
    const chain = this.chain(row).slice(0, -1);
    const first = chain[0];
    const last = chain[chain.length - 1];
    if (!first || !last) return "nobody known";
    if (first === last) return first.label + (first.field ?? "");
    return `${first.label}${first.field ?? ""} ${chain.length > 2 ? "… " : "→ "}${last.label}${last.field ?? ""}`;
  }

  /** Everything that the search looks in besides the type. */
  words(row: number): string {
    const steps = this.chain(row).map((step) => `${step.label} ${step.field ?? ""}`);
    const places = (["then", "now"] as const).map((side) => this.hex(row, "address", side) ?? "");
    return [...steps, ...places, this.fate(row), this.stalled(row) ? "stalled" : ""].join(" ");
  }
}
